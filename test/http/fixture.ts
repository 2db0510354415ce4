import { connect } from "node:net";
import { VaultError } from "#base";
import type { Actor, Call, Id, Outcome, Permit, Redacted } from "#base";
import { CATALOG, loadWire } from "#contract";
import type { OperationId } from "#contract";
import { createApp, listen } from "#http";
import type { Handlers, HttpApp, HttpDoors, HttpServers, ListenOptions, Request } from "#http";
import { TEST_LAG_MS } from "../harness.ts";

/** The only credential that the fixture knows. */
export const GOOD = "sp_svc_good";

export interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  /** Parsed where it is JSON. */
  readonly body: ReturnType<typeof JSON.parse>;
}

export interface Fixture {
  readonly app: HttpApp;
  readonly servers: HttpServers;
  readonly lines: { level: string; message: string; [field: string]: unknown }[];
  readonly settled: { action: string; outcome: Outcome }[];
  readonly counted: { operation: string; reason: string; address: string | null }[];
  readonly clients: Redacted<string>[];
  /** One request, over a connection of its own. */
  send(
    method: string,
    path: string,
    options?: { headers?: Record<string, string>; body?: unknown; credential?: string | null },
  ): Promise<Answered>;
  /** Bytes as they are, and what comes back until the connection closes; the first answer read. */
  raw(bytes: string | Buffer, socketPath?: string): Promise<Answered>;
  close(): Promise<void>;
}

export interface Overrides {
  readonly handlers?: Partial<Handlers>;
  readonly doors?: Partial<HttpDoors>;
  readonly listen?: Partial<ListenOptions>;
}

/** A permit as the guard would enter it, unsettled. */
export function enter(call: Call, action: string): Permit {
  const permit = { action, settled: false };
  call.enter(permit as unknown as Permit);
  return permit as unknown as Permit;
}

export function settle(permit: Permit): void {
  (permit as { settled: boolean }).settled = true;
}

/** The HTTP room over rooms that do nothing but decide and settle. */
export async function start(overrides: Overrides = {}): Promise<Fixture> {
  const lines: Fixture["lines"] = [];
  const settled: Fixture["settled"] = [];
  const counted: Fixture["counted"] = [];
  const clients: Redacted<string>[] = [];
  const write = (level: string) => (fields: object, message: string) => void lines.push({ ...fields, level, message });
  const ids = Object.keys(CATALOG) as OperationId[];
  const handlers = Object.fromEntries(ids.map((id) => [id, obedient(id)])) as unknown as Handlers;
  let requests = 0;

  const log = { info: write("info"), warn: write("warn"), error: write("error") };
  const app = createApp({
    wire: await loadWire(),
    handlers: { ...handlers, ...overrides.handlers },
    authenticate: async (call, credential, machine) => {
      if (credential !== null) clients.push(credential);
      if (!machine && credential?.reveal() !== GOOD) throw new VaultError("unauthenticated");
      return {
        type: machine ? "machine" : "user",
        id: "prn_somebody" as Id<"prn">,
        call,
        name: "secretive-login",
      } as Actor;
    },
    settle: async (permit, outcome) => {
      settle(permit);
      settled.push({ action: permit.action, outcome });
    },
    refused: (call, reason) => {
      counted.push({ operation: call.operation, reason, address: call.address });
      call.markCounted();
    },
    log,
    newRequestId: () => `request-${String(++requests).padStart(6, "0")}`,
    trustedProxies: null,
    clock: { now: () => new Date(1_700_000_000_000) },
    ...overrides.doors,
    limits: { maxLagMs: TEST_LAG_MS, ...overrides.doors?.limits },
  });
  const servers = await listen({ app, host: "127.0.0.1", port: 0, log, ...overrides.listen });

  const raw: Fixture["raw"] = (bytes, socketPath) =>
    new Promise((resolve, reject) => {
      const socket = socketPath === undefined ? connect(servers.port, servers.host) : connect(socketPath);
      const chunks: Buffer[] = [];
      socket.on("data", (chunk) => chunks.push(chunk));
      socket.on("error", reject);
      socket.on("close", () => resolve(readAnswer(Buffer.concat(chunks).toString())));
      socket.setTimeout(60_000, () => socket.destroy(new Error("no answer, or it did not end")));
      socket.write(bytes);
    });

  const send: Fixture["send"] = (method, path, options = {}) => {
    const body =
      options.body === undefined ? "" : typeof options.body === "string" ? options.body : JSON.stringify(options.body);
    const credential = options.credential === undefined ? GOOD : options.credential;
    const headers: Record<string, string> = {
      Host: "vault.test",
      Connection: "close",
      ...(credential === null ? {} : { Authorization: `Bearer ${credential}` }),
      ...(body === "" ? {} : { "Content-Type": "application/json", "Content-Length": String(Buffer.byteLength(body)) }),
      ...options.headers,
    };
    const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    return raw(`${method} ${path} HTTP/1.1\r\n${head.join("")}\r\n${body}`);
  };

  return {
    app,
    servers,
    lines,
    settled,
    counted,
    clients,
    raw,
    send,
    close: async () => {
      await servers.drain(1_000);
      app.close();
    },
  };
}

/** A handler that decides, settles what it changes, and answers nothing of interest. */
function obedient(id: OperationId) {
  return async ({ call }: Request<OperationId>) => {
    const { permission, effect, auth } = CATALOG[id];
    if (auth === "open") return {};
    const permit = enter(call, permission);
    if (effect !== "read") settle(permit);
    return CATALOG[id].status === 204 ? undefined : {};
  };
}

function readAnswer(text: string): Answered {
  const [head = "", ...rest] = text.split("\r\n\r\n");
  const [first = "", ...lines] = head.split("\r\n");
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 2)]),
  );
  const all = rest.join("\r\n\r\n");
  const length = headers["content-length"];
  const body = length === undefined ? all : Buffer.from(all).subarray(0, Number(length)).toString();
  const isJson = headers["content-type"]?.endsWith("json") === true && body !== "";
  return { status: Number(first.split(" ")[1] ?? 0), headers, text, body: isJson ? JSON.parse(body) : body };
}
