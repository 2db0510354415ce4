import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { request } from "node:http";
import type { IncomingHttpHeaders } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { CATALOG } from "#contract";
import type { ClientRequest, OperationId, Response } from "#contract";
import { readSettings } from "#settings";
import { createVault } from "../src/vault.ts";
import type { Overrides, Vault } from "../src/vault.ts";
import { dropDatabaseOf, storeEnv } from "./engine.ts";

/** What an operation answered, whatever it was. */
export interface Answer<T> {
  readonly status: number;
  readonly body: T;
  readonly text: string;
  readonly headers: IncomingHttpHeaders;
}

type Given<Id extends OperationId> = Partial<ClientRequest<Id>> & {
  readonly headers?: Readonly<Record<string, string>>;
};

/** A person or program that knocks at a vault with one credential. */
export class Client {
  readonly url: string;
  readonly token: string | null;

  constructor(url: string, token: string | null) {
    this.url = url;
    this.token = token;
  }

  as(token: string | null): Client {
    return new Client(this.url, token);
  }

  /** Whatever the answer is. */
  async try<Id extends OperationId>(id: Id, given: Given<Id> = {}): Promise<Answer<Response<Id> & Problem>> {
    const { method, path } = CATALOG[id];
    const { params, query, body, headers } = given as {
      params?: Record<string, unknown>;
      query?: Record<string, unknown>;
      body?: unknown;
      headers?: Record<string, string>;
    };
    const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(params?.[name])));
    const search = new URLSearchParams(
      Object.entries(query ?? {})
        .filter(([, value]) => value !== undefined)
        .map(([name, value]): [string, string] => [name, String(value)]),
    ).toString();
    const answer = await send(this.url, {
      method,
      path: search === "" ? filled : `${filled}?${search}`,
      headers: { ...(this.token === null ? {} : { authorization: `Bearer ${this.token}` }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return answer as Answer<Response<Id> & Problem>;
  }

  /** The answer's body; throws when the operation failed. */
  async do<Id extends OperationId>(id: Id, given: Given<Id> = {}): Promise<Response<Id>> {
    const answer = await this.try(id, given);
    if (answer.status >= 400) throw new Error(`${id} answered ${String(answer.status)}: ${answer.text}`);
    return answer.body;
  }

  /** The code of the problem; throws when the operation succeeded. */
  async code<Id extends OperationId>(id: Id, given: Given<Id> = {}): Promise<string> {
    const answer = await this.try(id, given);
    if (answer.status < 400) throw new Error(`${id} was expected to be refused and answered ${String(answer.status)}`);
    return answer.body.code;
  }
}

export interface Problem {
  readonly code: string;
  readonly title: string;
  readonly requestId: string;
  readonly faults?: readonly { field: string; message: string }[];
  readonly missing?: { permission: string; on: string };
  readonly variables?: readonly { variable: string; reason: string }[];
}

/** One HTTP request on a connection of its own. */
export function send(
  url: string,
  options: { method: string; path: string; headers?: Record<string, string>; body?: string; socketPath?: string },
): Promise<Answer<unknown>> {
  const { hostname, port } = new URL(url);
  const headers =
    options.body === undefined ? options.headers : { "content-type": "application/json", ...options.headers };
  const place =
    options.socketPath === undefined
      ? { host: hostname.replace(/^\[|\]$/g, ""), port }
      : { socketPath: options.socketPath };
  return new Promise((resolve, reject) => {
    const sent = request(
      { ...place, method: options.method, path: options.path, headers, agent: false },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          const json = (response.headers["content-type"] ?? "").includes("json");
          resolve({
            status: response.statusCode ?? 0,
            body: json ? JSON.parse(text) : undefined,
            text,
            headers: response.headers,
          });
        });
      },
    );
    sent.on("error", reject);
    sent.end(options.body);
  });
}

export interface LogLine {
  readonly level: string;
  readonly fields: object;
  readonly message: string;
}

/** A real vault in this process, on throw-away files, with cheap password hashing. */
export interface TestVault {
  readonly vault: Vault;
  readonly folder: string;
  readonly url: string;
  /** Signed in as the first owner, who also holds the instance. */
  readonly owner: Client;
  readonly anonymous: Client;
  readonly log: readonly LogLine[];
  /** Invites a user, sets the password, signs in. */
  user(login: string, role?: "owner" | "admin" | "member" | "guest"): Promise<Client>;
  /** A service user with its first token. */
  service(name: string, kind: "ci" | "agent" | "runner"): Promise<Client>;
  /** A second org, with its owner signed in. */
  org(slug: string): Promise<Client>;
  /** The same files again, after `vault.close()`. */
  close(): Promise<void>;
}

export const PASSWORD = "correct horse battery staple";

/** Tests share a process and a machine with others, and lag behind when those work. */
export const TEST_LAG_MS = 60_000;

/** Hashing that a test can afford. */
export const CHEAP_PASSWORDS = { insecureParams: { memoryKiB: 64, passes: 1, lanes: 1 } };

export async function startVault(
  options: { folder?: string; overrides?: Overrides; settings?: Record<string, string> } = {},
): Promise<TestVault> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), "sallyport-")));
  const log: LogLine[] = [];
  const write = (level: string) => (fields: object, message: string) => void log.push({ level, fields, message });
  const { config } = await readSettings({
    flags: {
      data: join(folder, "data"),
      keys: join(folder, "keys"),
      listen: "127.0.0.1:0",
      org: "main",
      owner: "owner",
      logLevel: "info",
      insecurePlainHttp: "false",
      maxFailures: "1000000",
      ...options.settings,
    },
    env: await storeEnv(folder),
    folder,
  });
  const logger = { info: write("info"), warn: write("warn"), error: write("error") };
  const vault = await createVault(config, "0.0.0-test", logger, {
    passwords: CHEAP_PASSWORDS,
    checkAnswers: true,
    maxLagMs: TEST_LAG_MS,
    ...options.overrides,
  });
  const anonymous = new Client(vault.url, null);
  const setUp = async (token: string): Promise<Client> =>
    anonymous.as((await anonymous.as(token).do("set-up.complete", { body: { password: PASSWORD } })).token);
  const owner =
    vault.founded === null
      ? anonymous.as(
          (await anonymous.do("session.create", { body: { org: "main", login: "owner", password: PASSWORD } })).token,
        )
      : await setUp(vault.founded.setUpToken.reveal());
  return {
    vault,
    folder,
    url: vault.url,
    owner,
    anonymous,
    log,
    async user(login, role = "member") {
      return setUp((await owner.do("user.create", { body: { login, role } })).setUpToken);
    },
    async service(name, kind) {
      return anonymous.as((await owner.do("service-user.create", { body: { name, kind } })).token.token);
    },
    async org(slug) {
      return setUp((await owner.do("org.create", { body: { name: slug, owner: "owner" } })).setUpToken);
    },
    async close() {
      await vault.close();
      if (options.folder !== undefined) return;
      await rm(folder, { recursive: true, force: true });
      await dropDatabaseOf(folder);
    },
  };
}

/** The built program: `npm test` builds it first. */
export const PROGRAM = new URL("../dist/main.js", import.meta.url).pathname;

export interface Ran {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `sallyport …` as a process of its own and waits for its end. */
export function sallyport(
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string>; input?: string | Buffer; node?: string } = {},
): Promise<Ran> {
  const child = spawn(options.node ?? process.execPath, [PROGRAM, ...args], {
    cwd: options.cwd,
    env: cleanEnv(options.env),
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.input ?? "");
  return ended(child);
}

/** The surroundings of a child: none of this process's settings. */
export function cleanEnv(extra: Record<string, string> = {}): Record<string, string> {
  const { PATH = "", HOME = "" } = process.env;
  return { PATH, HOME, SALLYPORT_NO_WARN: "1", ...extra };
}

function ended(child: ChildProcessByStdio<import("node:stream").Writable | null, Readable, Readable>): Promise<Ran> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      resolve({ code, signal, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() });
    });
  });
}

/** A server process on files, or a database, of its own. */
export interface ServerProcess {
  readonly url: string;
  readonly folder: string;
  readonly pid: number;
  readonly socketPath: string;
  /** What it printed so far. */
  output(): string;
  kill(signal: NodeJS.Signals): void;
  readonly ended: Promise<Ran>;
}

/** Starts `sallyport up` in `folder` and waits until it listens. Throws what it printed when it ends before. */
export async function startServer(
  folder: string,
  options: { args?: readonly string[]; env?: Record<string, string>; node?: string } = {},
): Promise<ServerProcess> {
  const child = spawn(
    options.node ?? process.execPath,
    [PROGRAM, "up", "--listen", "127.0.0.1:0", ...(options.args ?? [])],
    {
      cwd: folder,
      env: cleanEnv({ SALLYPORT_MAX_FAILURES: "1000000", ...(await storeEnv(folder)), ...options.env }),
      stdio: ["pipe", "pipe", "pipe"],
    },
  );
  let printed = "";
  child.stderr.on("data", (chunk: Buffer) => (printed += chunk.toString()));
  const over = ended(child);
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.on("data", (chunk: Buffer) => {
      printed += chunk.toString();
      const found = /listens on (http\S+)/.exec(printed)?.[1];
      if (found !== undefined) resolve(found);
    });
    void over.then((ran) => {
      reject(new Error(`the server ended with ${String(ran.code ?? ran.signal)}: ${printed}`));
    });
  });
  return {
    url,
    folder,
    pid: child.pid ?? 0,
    socketPath: join(folder, "data", "sallyport.sock"),
    output: () => printed,
    kill: (signal) => void child.kill(signal),
    ended: over,
  };
}

/** The owner's set-up credential that a first start without a terminal left behind. */
export async function ownerSetUp(folder: string): Promise<string> {
  return (await readFile(join(folder, "keys", "owner-set-up.token"), "utf8")).trim();
}
