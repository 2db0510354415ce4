import { readFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Client, PASSWORD, ownerSetUp, send, startServer } from "../harness.ts";
import type { ServerProcess } from "../harness.ts";
import { BODIES } from "./wire/bodies.ts";
import { FRAMING } from "./wire/framing.ts";
import { HEADER_LINES } from "./wire/header-lines.ts";
import { REQUEST_LINES } from "./wire/request-lines.ts";
import { CANARY } from "./wire/row.ts";
import type { Row } from "./wire/row.ts";
import { say } from "./wire/stranger.ts";

const TABLES: readonly (readonly [idea: string, rows: readonly Row[]])[] = [
  ["Targets, methods, versions", REQUEST_LINES],
  ["Headers", HEADER_LINES],
  ["Where a request ends", FRAMING],
  ["Bodies", BODIES],
];
const ROWS = TABLES.flatMap(([, rows]) => rows);
/** What the process may have more at the end than when it had warmed up. */
const GROWTH_MIB = 150;

/** The built server, told everything that a client would not send. */
describe("A stranger's bytes (R71, R78)", () => {
  let folder: string;
  let server: ServerProcess;
  let token: string;
  let before = 0;
  let most = 0;
  const late: number[] = [];
  let watch: NodeJS.Timeout;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "sallyport-wire-"));
    server = await startServer(folder);
    const setUp = new Client(server.url, await ownerSetUp(folder));
    token = (await setUp.do("set-up.complete", { body: { password: PASSWORD } })).token;
    for (let n = 0; n < 200; n++) await send(server.url, { method: "GET", path: "/healthz" });
    before = await residentMiB(server.pid);
    watch = setInterval(() => {
      const began = performance.now();
      void residentMiB(server.pid).then((now) => (most = Math.max(most, now)));
      void send(server.url, { method: "GET", path: "/healthz" }).then(
        ({ status }) => late.push(status === 200 ? performance.now() - began : Number.POSITIVE_INFINITY),
        () => late.push(Number.POSITIVE_INFINITY),
      );
    }, 250);
  }, 120_000);
  afterAll(async () => {
    clearInterval(watch);
    server.kill("SIGKILL");
    await server.ended;
    await rm(folder, { recursive: true, force: true });
  });

  test("the table has at least 150 rows, each with a name of its own", () => {
    expect(ROWS.length).toBeGreaterThanOrEqual(150);
    expect(new Set(ROWS.map(([name]) => name)).size).toBe(ROWS.length);
  });

  describe.each(TABLES)("%s", (_idea, rows) => {
    test.each(rows)("%s", async (_name, bytes, status, code, then) => {
      const heard = await say(server.url, bytes, token);
      expect(heard.rest).toBe("");
      const all = heard.answers.map((answer) => [answer.status, codeOf(answer.body)]);
      expect(all).toEqual([[status, code]]);
      if (then !== "either") expect(heard.closed ? "closes" : "stays").toBe(then);
      expect(heard.text).not.toContain(CANARY);
      for (const { headers, body } of heard.answers) {
        expect(headers["x-request-id"]).toMatch(/^[A-Za-z0-9._-]{8,64}$/);
        expect(headers["cache-control"]).toBe("no-store");
        if (code === null) continue;
        expect(headers["content-type"]).toBe("application/problem+json");
        expect(JSON.parse(body)).toMatchObject({ status, code, requestId: headers["x-request-id"] });
      }
    });
  });

  test("all that time it lived, was answered quickly, and did not grow", async () => {
    expect(late.length).toBeGreaterThan(10);
    expect(Math.max(...late)).toBeLessThan(5_000);
    expect(most - before).toBeLessThan(GROWTH_MIB);
    expect(server.output()).not.toContain(CANARY);
    expect(server.output()).not.toMatch(/"status":5\d\d/);
    expect(server.output()).toContain('"operation":"namespace.create"');
    // The requests hidden in the framing table were never begun.
    expect(server.output()).not.toContain("role.list");
    expect((await send(server.url, { method: "GET", path: "/readyz" })).status).toBe(200);
  });
});

function codeOf(body: string): string | null {
  const parsed: unknown = body === "" ? null : JSON.parse(body);
  return typeof parsed === "object" && parsed !== null && "code" in parsed ? String(parsed.code) : null;
}

async function residentMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${String(pid)}/status`, "utf8").catch(() => "");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
}
