import { networkInterfaces } from "node:os";
import { METRIC_OPERATIONS } from "#http";
import { ERRORS } from "#base";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { send, startVault } from "../harness.ts";
import type { Answer, TestVault } from "../harness.ts";

/** One sample line: its name with labels, and its value. */
type Samples = ReadonlyMap<string, number>;

/**
 * The text format 0.0.4 as its description has it: comments, and samples of families that HELP and TYPE announced. Throws
 * for a line of another form, a sample twice, and one of an unannounced family.
 */
function parseText(text: string): Samples {
  expect(text.endsWith("\n")).toBe(true);
  const types = new Map<string, string>();
  const samples = new Map<string, number>();
  for (const line of text.split("\n").slice(0, -1)) {
    if (line === "" || line.startsWith("# HELP ")) continue;
    const type = /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge|histogram|summary)$/.exec(line);
    if (type !== null) {
      if (types.has(type[1] ?? "")) throw new Error(`announced twice: ${line}`);
      types.set(type[1] ?? "", type[2] ?? "");
      continue;
    }
    const sample = /^([a-zA-Z_:][\w:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\})? (\S+)$/.exec(line);
    if (sample === null) throw new Error(`not a sample: ${line}`);
    const [, name = "", labels = "", value = ""] = sample;
    const family = name.replace(/_(?:bucket|sum|count)$/, "");
    if (!types.has(name) && !["histogram", "summary"].includes(types.get(family) ?? ""))
      throw new Error(`unannounced: ${line}`);
    if (samples.has(name + labels)) throw new Error(`twice: ${line}`);
    if (!/^nan$/i.test(value) && value !== "+Inf" && !Number.isFinite(Number(value)))
      throw new Error(`no number: ${line}`);
    samples.set(name + labels, value === "+Inf" ? Infinity : Number(value));
  }
  // The lag of the event loop is not a number before it was measured; of the vault's own everything is one.
  expect([...samples].filter(([name, value]) => name.startsWith("sallyport_") && !Number.isFinite(value))).toEqual([]);
  return samples;
}

const ask = (vault: TestVault, more: Record<string, string> = {}, method = "GET", socketPath?: string) =>
  send(vault.url, { method, path: "/metrics", headers: more, ...(socketPath === undefined ? {} : { socketPath }) });

async function scrape(vault: TestVault): Promise<Samples> {
  const answer = await ask(vault);
  expect([answer.status, answer.headers["content-type"]]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"]);
  return parseText(answer.text);
}

/** A request is counted when its answer has gone out, which the client may know a moment before. */
async function until(vault: TestVault, holds: (samples: Samples) => boolean): Promise<Samples> {
  for (let tries = 0; tries < 400; tries += 1) {
    const samples = await scrape(vault);
    if (holds(samples)) return samples;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("it never held");
}

const total = (samples: Samples, start: string) =>
  [...samples].filter(([name]) => name.startsWith(start)).reduce((sum, [, value]) => sum + value, 0);

describe("/metrics", () => {
  let vault: TestVault;
  beforeAll(async () => void (vault = await startVault({ settings: { requestsPerSecond: "1000000" } })));
  afterAll(() => vault.close());

  test("moves by exactly what was done", async () => {
    const scope = { environment: "dev", namespace: "default" };
    await vault.owner.do("secret.write", { params: { ...scope, secret: "DB_URL" }, body: { value: "v" } });
    await vault.owner.do("workload.create", { params: { namespace: "default" }, body: { name: "job" } });
    const job = { namespace: "default", workload: "job" };
    await vault.owner.do("manifest.save", { params: job, body: { all: true } });
    await vault.owner.do("deployment.set", { params: { ...job, environment: "dev" }, body: {} });
    const before = await until(vault, (now) => total(now, 'sallyport_requests_total{operation="deployment.set"') === 1);
    const done = 7;
    for (let at = 0; at < done; at += 1) {
      const { items } = await vault.owner.do("token.mint", { params: job, body: { environment: "dev" } });
      const bearer = vault.anonymous.as(items[0]?.token ?? "");
      await bearer.do("token.exchange");
      expect(await bearer.code("token.exchange")).toBe("token_invalid");
    }
    const exchanged = `sallyport_launches_total{step="exchange",outcome="token_invalid"}`;
    const after = await until(vault, (now) => now.get(exchanged) === done);

    const grown = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0);
    expect(grown(`sallyport_launches_total{step="mint",outcome="success"}`)).toBe(done);
    expect(grown(`sallyport_launches_total{step="exchange",outcome="success"}`)).toBe(done);
    expect(grown(`sallyport_requests_total{operation="token.mint",status="2xx",code=""}`)).toBe(done);
    expect(grown(`sallyport_requests_total{operation="token.exchange",status="2xx",code=""}`)).toBe(done);
    expect(grown(`sallyport_requests_total{operation="token.exchange",status="4xx",code="token_invalid"}`)).toBe(done);
    expect(grown(`sallyport_request_duration_seconds_count{operation="token.exchange"}`)).toBe(2 * done);
    expect(grown("sallyport_exchange_duration_seconds_count")).toBe(done);
    // One for each mint, exchange and replay.
    expect(grown("sallyport_audit_events_total")).toBe(3 * done);
    expect(grown("sallyport_commit_batch_jobs_sum")).toBeGreaterThanOrEqual(2 * done);
    expect(grown("sallyport_commit_batch_jobs_count")).toBe(grown("sallyport_commit_duration_seconds_count"));
    expect(grown("sallyport_commit_sync_seconds_sum")).toBeGreaterThan(0);
    expect(grown("sallyport_commit_sync_seconds_sum")).toBeLessThanOrEqual(
      grown("sallyport_commit_duration_seconds_sum"),
    );
    expect(after.get("sallyport_commit_failures_total")).toBe(0);
  });

  test("tells how the vault is, of what there is, and nothing of what there is not", async () => {
    const samples = await scrape(vault);
    const { audit } = await vault.owner.do("status.get");
    expect(samples.get(`sallyport_build_info{version="0.0.0-test",store="sqlite",node="${process.version}"}`)).toBe(1);
    expect(samples.get("sallyport_store_writable")).toBe(1);
    expect(samples.get("sallyport_sealed")).toBe(0);
    expect(samples.get("sallyport_data_keys")).toBe((await vault.owner.do("environment.list")).items.length);
    for (const age of ["data_key_oldest_age_seconds", "root_key_age_seconds", "checkpoint_age_seconds"]) {
      expect(samples.get(`sallyport_${age}`), age).toBeGreaterThanOrEqual(0);
      expect(samples.get(`sallyport_${age}`), age).toBeLessThan(600);
    }
    expect(samples.get("sallyport_checkpoint_events")).toBeLessThanOrEqual(audit.events + 100);
    expect(samples.get("sallyport_requests_in_flight")).toBe(1);
    expect(samples.get("sallyport_commit_queue_jobs")).toBe(0);
    expect(samples.get("sallyport_commit_queue_bytes")).toBe(0);
    expect(samples.has("sallyport_tls_certificate_expires_seconds")).toBe(false);
    for (const name of ["process_resident_memory_bytes", "nodejs_eventloop_lag_seconds", "nodejs_heap_size_used_bytes"])
      expect(samples.get(name), name).toBeGreaterThanOrEqual(0);
  });

  test("has labels of closed lists only, whatever is asked for", async () => {
    const words = ["canary-path", "canary-query", "canary-login", "CANARY_NAME", "canary-value", "canary-header"];
    await send(vault.url, { method: "GET", path: "/v1/canary-path?x=canary-query" });
    await send(vault.url, { method: "CANARY", path: "/canary-path", headers: { "x-canary": "canary-header" } }).catch(
      () => null,
    );
    await vault.anonymous.try("session.create", { body: { login: "canary-login", password: "canary-value-1" } });
    await vault.owner.do("secret.write", {
      params: { environment: "prod", namespace: "default", secret: "CANARY_NAME" },
      body: { value: "canary-value" },
    });
    const samples = await until(
      vault,
      (now) => total(now, 'sallyport_requests_total{operation="session.create",status="4xx"') > 0,
    );
    const text = (await ask(vault)).text;
    for (const word of words) expect(text.includes(word), word).toBe(false);
    expect(total(samples, 'sallyport_requests_total{operation="none"')).toBeGreaterThan(0);

    const codes = new Set(["", "success", "aborted", ...Object.keys(ERRORS)]);
    const own = [...samples.keys()].filter(
      (name) => name.startsWith("sallyport_") && !name.startsWith("sallyport_build_info"),
    );
    for (const sample of own) {
      for (const [, label = "", value = ""] of sample.matchAll(/(\w+)="([^"]*)"/g)) {
        if (label === "operation") expect(METRIC_OPERATIONS, sample).toContain(value);
        else if (label === "status") expect(value, sample).toMatch(/^(?:[1-5]xx|aborted)$/);
        else if (label === "step") expect(["mint", "exchange"], sample).toContain(value);
        else if (label === "code" || label === "outcome") expect(codes, sample).toContain(value);
        else expect(label, sample).toBe("le");
      }
    }
    expect(own.length).toBeGreaterThan(100);
  });

  test("answers HEAD without a body, takes no credential, and leaves no event", async () => {
    const events = async () => (await vault.owner.do("audit.list", { query: { limit: "1000" } })).items.length;
    const before = await events();
    const head = await ask(vault, {}, "HEAD");
    expect([head.status, head.text]).toEqual([200, ""]);
    expect(Number(head.headers["content-length"])).toBeGreaterThan(1000);
    const post = await ask(vault, {}, "POST");
    expect([post.status, post.headers.allow]).toEqual([405, "GET, HEAD"]);
    // The two lists themselves are in the log.
    expect((await events()) - before).toBe(1);
  });
});

describe("who may read /metrics", () => {
  let vault: TestVault | null = null;
  afterEach(async () => {
    await vault?.close();
    vault = null;
  });
  const start = async (settings: Record<string, string>) => (vault = await startVault({ settings }));
  const status = async (answer: Promise<Answer<unknown>>) => (await answer).status;

  test("`machine`: loopback and the machine's socket, and nothing that a proxy passed on", async () => {
    const it = await start({ metrics: "machine" });
    expect(await status(ask(it))).toBe(200);
    expect(await status(ask(it, {}, "GET", it.vault.socketPath ?? ""))).toBe(200);
    expect(await status(ask(it, { "x-forwarded-for": "203.0.113.7" }))).toBe(404);
    expect(await status(ask(it, { "x-forwarded-for": "127.0.0.1" }))).toBe(404);
    expect(await status(ask(it, { forwarded: "for=203.0.113.7" }))).toBe(404);
  });

  test("`machine`: not who comes from elsewhere, and the answer is that of a path that is not there", async () => {
    const own = Object.values(networkInterfaces())
      .flat()
      .find((one) => one?.family === "IPv4" && !one.internal)?.address;
    if (own === undefined) throw new Error("this machine has no address but loopback");
    const it = await start({ metrics: "machine", listen: "0.0.0.0:0", insecurePlainHttp: "true" });
    const port = new URL(it.url).port;
    const refused = await send(`http://${own}:${port}`, { method: "GET", path: "/metrics" });
    const nowhere = await send(`http://${own}:${port}`, { method: "GET", path: "/nowhere" });
    const shape = ({ status: code, body }: Answer<unknown>) => [code, { ...(body as object), requestId: "" }];
    expect(shape(refused)).toEqual(shape(nowhere));
    expect(refused.status).toBe(404);
    expect(await status(send(`http://127.0.0.1:${port}`, { method: "GET", path: "/metrics" }))).toBe(200);
  });

  test("`machine`: not a page of another site whose name was made to mean this machine", async () => {
    const it = await start({ metrics: "machine" });
    const { port } = new URL(it.url);
    for (const host of [
      "localhost",
      "LOCALHOST",
      `localhost:${port}`,
      "127.0.0.1",
      "127.8.0.1:1",
      "[::1]:7433",
      "192.0.2.7:80",
    ])
      expect(await status(ask(it, { host })), host).toBe(200);
    for (const host of [
      "evil.example",
      `evil.example:${port}`,
      "localhost.evil.example",
      "127.0.0.1.evil.example",
      "[::1].evil",
    ])
      expect(await status(ask(it, { host })), host).toBe(404);
    // No browser speaks on the machine's socket.
    expect(await status(ask(it, { host: "evil.example" }, "GET", it.vault.socketPath ?? ""))).toBe(200);
  });

  test("`off`: nobody; `any`: everybody", async () => {
    const closed = await start({ metrics: "off" });
    expect(await status(ask(closed))).toBe(404);
    expect(await status(ask(closed, {}, "GET", closed.vault.socketPath ?? ""))).toBe(404);
    await closed.close();
    const open = await start({ metrics: "any" });
    expect(await status(ask(open, { "x-forwarded-for": "203.0.113.7" }))).toBe(200);
  });
});

test("what is too much is counted as turned away", async () => {
  const vault = await startVault({ settings: { maxFailures: "1" } });
  try {
    const knock = () => vault.anonymous.try("session.create", { body: { login: "nobody", password: "x".repeat(12) } });
    for (let at = 0; at < 4; at += 1) await knock();
    const limited = `sallyport_requests_turned_away_total{code="rate_limited"}`;
    const samples = await until(vault, (now) => (now.get(limited) ?? 0) >= 3);
    expect(samples.get(limited)).toBe(3);
    expect(samples.get(`sallyport_requests_turned_away_total{code="overloaded"}`)).toBe(0);
  } finally {
    await vault.close();
  }
});
