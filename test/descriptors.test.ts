import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect } from "vitest";
import { Client, PASSWORD, ownerSetUp, startServer } from "./harness.ts";
import type { ServerProcess } from "./harness.ts";
import { testUnless } from "./unless.ts";

let folder = "";
let server: ServerProcess;
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
afterEach(async () => {
  agent.destroy();
  server.kill("SIGKILL");
  await server.ended;
  rmSync(folder, { recursive: true, force: true });
});

describe("A process that may open no file more", () => {
  testUnless(whyNot())(
    "goes on for who is connected, says 503 for what needs a file, and does all of it when that is over",
    async () => {
      folder = mkdtempSync(join(tmpdir(), "sallyport-descriptors-"));
      server = await startServer(folder);
      const setUp = new Client(server.url, await ownerSetUp(folder));
      const { token } = await setUp.do("set-up.complete", { body: { password: PASSWORD } });
      // Another process, that has not hashed a password yet, nor shown a page.
      server.kill("SIGTERM");
      await server.ended;
      server = await startServer(folder);
      const credential = { Authorization: `Bearer ${token}` };
      const needing = {
        page: () => ask("GET", "/docs/swagger-ui.css"),
        verify: () => ask("POST", "/v1/audit/verify", credential),
      };
      const going = {
        "sign-in": () => ask("POST", "/v1/sign-in", {}, { login: "owner", password: PASSWORD }),
        write: () =>
          ask("PUT", "/v1/environments/dev/namespaces/default/secrets/NAME", credential, { value: "a value" }),
        list: () => ask("GET", "/v1/environments/dev/namespaces/default/secrets", credential),
        readiness: () => ask("GET", "/readyz"),
        metrics: () => ask("GET", "/metrics"),
        status: () => ask("GET", "/v1/status", credential),
      };
      expect((await ask("GET", "/readyz")).status).toBe(200);

      const before = limit("3");
      const without: Record<string, string> = {};
      // Each more than once and some time apart: the process looks at its memory a few times a second.
      for (let round = 0; round < 3; round += 1) {
        await new Promise((resolve) => setTimeout(resolve, 300));
        for (const [name, act] of Object.entries({ ...needing, ...going })) {
          const { status, code } = await act();
          without[name] = `${String(status)} ${code}`.trim();
        }
      }
      limit(before);
      expect(without).toEqual({
        page: "503 overloaded",
        verify: "503 store_unavailable",
        "sign-in": "200",
        write: "200",
        list: "200",
        readiness: "200",
        metrics: "200",
        status: "200",
      });
      for (const [name, act] of Object.entries({ ...needing, ...going }))
        expect([name, (await act()).status]).toEqual([name, 200]);
      expect(server.output()).toContain('"code":"EMFILE"');
    },
    { timeout: 120_000 },
  );
});

/** Sets how many files the server may have open. @returns how many it could before. */
function limit(soft: string): string {
  const of = ["--pid", String(server.pid)];
  const before = execFileSync("prlimit", [...of, "--nofile", "--output", "SOFT", "--noheadings"]);
  execFileSync("prlimit", [...of, `--nofile=${soft}:`]);
  return before.toString().trim();
}

function whyNot(): string | null {
  if (process.platform !== "linux") return "only Linux has prlimit";
  try {
    execFileSync("prlimit", ["--version"]);
    return null;
  } catch {
    return "there is no prlimit";
  }
}

/** All over one connection, which is there from the first request on. */
function ask(
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: unknown,
): Promise<{ status: number; code: string }> {
  const json = body === undefined ? {} : { "Content-Type": "application/json" };
  return new Promise((resolve, reject) => {
    const asked = request(`${server.url}${path}`, { method, agent, headers: { ...headers, ...json } }, (answer) => {
      let text = "";
      answer.on("data", (part: Buffer) => (text += part.toString()));
      answer.on("end", () => {
        const status = answer.statusCode ?? 0;
        const { code } = status < 300 ? { code: "" } : (JSON.parse(text) as { code: string });
        resolve({ status, code });
      });
    });
    asked.on("error", reject).end(body === undefined ? undefined : JSON.stringify(body));
  });
}
