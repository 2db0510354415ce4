import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LOG_LINES } from "#http";
import { describe, expect, test } from "vitest";
import { send, startServer, startVault } from "./harness.ts";
import type { Client } from "./harness.ts";

describe("the table of log lines", () => {
  test("has each message that the code writes, at its level, and no other", () => {
    const written = new Map<string, string>();
    for (const name of readdirSync("src", { recursive: true, encoding: "utf8" }).filter((file) =>
      file.endsWith(".ts"),
    )) {
      const source = readFileSync(join("src", name), "utf8");
      const calls = source.matchAll(/log\.(info|warn|error)\((?:(?!;\n)[\s\S])*?,\s*"([^"\n]+)",?\s*\)/g);
      for (const [, level = "", message = ""] of calls) written.set(message, level);
    }
    const table = Object.entries(LOG_LINES).map(([message, { level }]) => [message, level]);
    expect([...written].sort()).toEqual(table.sort());
    expect(table.length).toBeGreaterThan(10);
  });
});

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";

test("each line of a vault that is used has the fields of its row and no others", async () => {
  const vault = await startVault();
  try {
    await vault.owner.do("status.get");
    await vault.owner.try("user.get", { params: { user: "nobody" } });
    await send(vault.url, { method: "GET", path: "/nowhere" });
    await send(vault.url, {
      method: "GET",
      path: "/healthz",
      headers: { traceparent: `00-${TRACE}-00f067aa0ba902b7-01` },
    });
  } finally {
    await vault.close();
  }
  expect(vault.log.length).toBeGreaterThan(4);
  for (const { level, fields, message } of vault.log) {
    const row = LOG_LINES[message];
    if (row === undefined && "what" in fields) continue;
    expect(row?.level, message).toBe(level);
    expect(
      Object.keys(fields).filter((field) => row?.fields.includes(field) !== true),
      message,
    ).toEqual([]);
  }
});

test("the trace id of a client's `traceparent` stands in its line, and of none that is not well-formed", async () => {
  const vault = await startVault();
  const parent = "00f067aa0ba902b7";
  const cases: readonly (readonly [sent: string, id: string | undefined])[] = [
    [`00-${TRACE}-${parent}-01`, TRACE],
    [`00-${TRACE}-${parent}-00`, TRACE],
    [`01-${TRACE}-${parent}-01-later`, TRACE],
    [`00-${TRACE}-${parent}-01-later`, undefined],
    [`ff-${TRACE}-${parent}-01`, undefined],
    [`00-${"0".repeat(32)}-${parent}-01`, undefined],
    [`00-${TRACE}-${"0".repeat(16)}-01`, undefined],
    [`00-${TRACE.toUpperCase()}-${parent}-01`, undefined],
    [`00-${TRACE.slice(1)}-${parent}-01`, undefined],
    [`00-${TRACE}-${parent}`, undefined],
    ["canary", undefined],
    ["", undefined],
  ];
  try {
    for (const [at, [traceparent]] of cases.entries()) {
      const headers = { traceparent, "x-request-id": `request-${String(at).padStart(4, "0")}` };
      expect((await send(vault.url, { method: "GET", path: "/healthz", headers })).status).toBe(200);
    }
  } finally {
    await vault.close();
  }
  const lines = vault.log
    .filter(({ message }) => message === "request")
    .map(({ fields }) => fields as Record<string, unknown>);
  for (const [at, [sent, id]] of cases.entries()) {
    const line = lines.find(({ requestId }) => requestId === `request-${String(at).padStart(4, "0")}`);
    expect(line, sent).toBeDefined();
    expect(line?.traceId, sent).toBe(id);
  }
  expect(JSON.stringify(lines)).not.toContain("canary");
});

test("the first line of a start says what listens where, and where its settings came from", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sallyport-log-"));
  const server = await startServer(folder, { env: { SALLYPORT_DRAIN_SECONDS: "3" } });
  server.kill("SIGTERM");
  const { stderr } = await server.ended;
  const line = stderr
    .split("\n")
    .filter((one) => one !== "")
    .map((one) => JSON.parse(one) as Record<string, unknown>)
    .find(({ msg }) => msg === "listening");
  expect(line).toMatchObject({
    level: 30,
    store: "sqlite",
    addresses: [server.url],
    data: join(folder, "data"),
    settingsFile: null,
    settings: { listen: "--listen", maxFailures: "SALLYPORT_MAX_FAILURES", drainSeconds: "SALLYPORT_DRAIN_SECONDS" },
  });
  const known = ["level", "time", "msg", ...(LOG_LINES.listening?.fields ?? [])];
  expect(Object.keys(line ?? {}).filter((field) => !known.includes(field))).toEqual([]);
  rmSync(folder, { recursive: true });
});

test("`status` tells of queue, keys, certificate, size and what was turned away; to who is not of the instance only what is of the own org", async () => {
  const vault = await startVault({ settings: { maxFailures: "1" } });
  try {
    const other = await vault.org("acme");
    await other.do("environment.create", { body: { name: "extra" } });
    const others: [string, Client][] = [
      ["another org's owner", other],
      ["an admin", await vault.user("adam", "admin")],
      ["an owner who was given no more", await vault.user("olga", "owner")],
      ["a member", await vault.user("mia")],
      ["a service user", await vault.service("machine", "ci")],
    ];
    for (let at = 0; at < 4; at += 1)
      await vault.anonymous.try("session.create", { body: { login: "no", password: "x".repeat(12) } });
    const state = await vault.owner.do("status.get");
    expect(state.instance?.databaseBytes).toBeGreaterThan(50_000);
    expect(state.instance?.queue).toEqual({ jobs: 0, bytes: 0 });
    expect(state.keys.dataKeys).toBe((await vault.owner.do("environment.list")).items.length);
    expect((await other.do("status.get")).keys.dataKeys).toBe(state.keys.dataKeys + 1);
    expect(Date.now() - new Date(state.keys.rootKeyAt).getTime()).toBeLessThan(600_000);
    expect(state.certificateExpiresAt).toBeNull();
    expect(state.instance?.turnedAway).toMatchObject({ minutes: 5, overloaded: 0 });
    expect(state.instance?.turnedAway.rateLimited).toBeGreaterThanOrEqual(2);
    for (const [who, client] of others) expect([who, (await client.do("status.get")).instance]).toEqual([who, null]);
    expect((await vault.anonymous.try("status.get")).body.code).toBe("unauthenticated");
  } finally {
    await vault.close();
  }
});
