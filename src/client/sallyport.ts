import { resolve } from "node:path";
import { NAME } from "#base";
import { Client } from "./client.ts";
import { asCredential, fromEnvironment, readToken } from "./credential.ts";
import type { Credential } from "./credential.ts";
import { SallyportError, usage } from "./error.ts";
import type { Delivery, Target } from "./exchange.ts";
import { readFile } from "./file.ts";
import type { Launch } from "./launch.ts";
import { DEFAULT_ADDRESS, describePlace, findSocket, parseAddress } from "./place.ts";
import type { Place } from "./place.ts";
import type { TokenKind } from "./token.ts";
import { connect as connectTo } from "./transport.ts";

/** Where the vault is, and who is calling. What is given counts for more than what the environment says. */
export interface ConnectOptions {
  /** SALLYPORT_ADDRESS: `https://…`, or http to this machine. */
  readonly address?: string;
  /** SALLYPORT_SOCKET: the path of a vault's Unix socket. */
  readonly socket?: string;
  /** Plain http to another machine: something else protects the way. */
  readonly insecurePlainHttp?: boolean;
  /** Authorities in PEM whose certificates are accepted, instead of those that Node knows. */
  readonly ca?: string;
  readonly caFile?: string;
  /** SALLYPORT_CREDENTIAL_FILE: a service user's token in a file that nobody else can read, or a systemd credential. */
  readonly credentialFile?: string;
  /** The same from an open descriptor. */
  readonly credentialFd?: number;
  /** The same as a text, from wherever the program has it. */
  readonly credential?: string;
  /** `process.env` unless said. The token in it is removed as soon as it is read. */
  readonly env?: Record<string, string | undefined>;
}

/** What is launched, and with which token. */
export interface LaunchOptions extends ConnectOptions {
  /** SALLYPORT_TOKEN_FILE, else SALLYPORT_TOKEN: an injection token. It says what is launched where. */
  readonly tokenFile?: string;
  readonly tokenFd?: number;
  readonly token?: string;
  /** SALLYPORT_RUNNER_FILE: the token of a service user that takes delivery, where the injection token is bound. */
  readonly runnerFile?: string;
  readonly runnerFd?: number;
  readonly runner?: string;
  /** Without an injection token. SALLYPORT_WORKLOAD: `namespace/workload`, or `workload`; else `default`. */
  readonly workload?: string;
  /** SALLYPORT_NAMESPACE, else `default`. */
  readonly namespace?: string;
  /** SALLYPORT_ENVIRONMENT, else `dev`. */
  readonly environment?: string;
  /** Gives up waiting for the launch. */
  readonly signal?: AbortSignal;
  /** What goes wrong without ending anything: `process.emitWarning` unless said. It holds no value. */
  readonly onWarning?: (text: string) => void;
}

const ACTORS: readonly TokenKind[] = ["svc", "ses"];
const USER_AGENT = "sallyport-client";
const MAX_CA_BYTES = 1024 * 1024;

/** The two ways to a vault. */
export const Sallyport = {
  /**
   * A client for the operations of the API, by whoever's credential is found.
   *
   * Errors: `usage` for an address, a file or a token that cannot be used.
   */
  connect(options: ConnectOptions = {}): Client {
    const { place, env } = findVault(options);
    const credential = findCredential(options, env) ?? tokenIn(env, ACTORS);
    return clientOf(place, options, credential);
  },

  /**
   * Gets this program its variables: exchanges its injection token, or mints one with a service user's credential and
   * exchanges that. On the machine's own socket a person alone needs neither. The lease is renewed until the launch ends:
   * by `end()`, or when the process has nothing left to do. No signal is listened to: a handler of ours would change what
   * a signal does to the program.
   *
   * Errors: `usage` where there is nothing to launch with; `token_invalid`, `runner_required`, `launch_refused`,
   * `unreachable`, and what else the vault answers.
   */
  async launch(options: LaunchOptions = {}): Promise<Launch> {
    const { place, env, isGuess } = findVault(options);
    const runner =
      given(options.runner, ["svc"]) ??
      readToken(source(options.runnerFile ?? set(env, "SALLYPORT_RUNNER_FILE"), options.runnerFd), ["svc"], env);
    const inEnvironment = tokenIn(env, ["inj", ...ACTORS]);
    const token =
      given(options.token, ["inj"]) ??
      readToken(source(options.tokenFile ?? set(env, "SALLYPORT_TOKEN_FILE"), options.tokenFd), ["inj"], env) ??
      (inEnvironment?.kind === "inj" ? inEnvironment : null);
    const credential = token === null ? (findCredential(options, env) ?? inEnvironment) : null;
    if (token === null && credential === null && place.kind !== "socket") throw nothingToLaunchWith(place, isGuess);

    const client = clientOf(place, options, credential);
    try {
      const { exchangeToken, mintToken } = await import("./exchange.ts");
      const { signal } = options;
      const by = runner?.token ?? null;
      const one = token?.token ?? (await mintToken(client, targetOf(options, env), by, signal)).token;
      return await held(client, await exchangeToken(client, one, by, signal), options.onWarning);
    } catch (error) {
      client.close();
      throw error;
    }
  },
} as const;

/** A launch that ends with the process, where the process has nothing left to do and nobody ended it before. */
async function held(client: Client, delivery: Delivery, onWarning = warn): Promise<Launch> {
  const { Launch } = await import("./launch.ts");
  const whenIdle = (exitCode: number) => void launch.end(exitCode);
  process.on("beforeExit", whenIdle);
  const launch = new Launch(client, delivery, onWarning, () => process.off("beforeExit", whenIdle));
  return launch;
}

function warn(text: string): void {
  process.emitWarning(text, { type: "SallyportWarning" });
}

function findVault(options: ConnectOptions): {
  place: Place;
  env: Record<string, string | undefined>;
  isGuess: boolean;
} {
  const env = options.env ?? process.env;
  if (options.address !== undefined && options.socket !== undefined)
    throw usage("`address` and `socket` are two places: give one.");
  const socket = (path: string): Place => ({ kind: "socket", path: resolve(path) });
  const url = (text: string): Place => ({ kind: "url", url: parseAddress(text, options.insecurePlainHttp ?? false) });
  const found = (place: Place) => ({ place, env, isGuess: false });
  if (options.address !== undefined) return found(url(options.address));
  if (options.socket !== undefined) return found(socket(options.socket));
  const [address, path] = [set(env, "SALLYPORT_ADDRESS"), set(env, "SALLYPORT_SOCKET")];
  if (address !== undefined) return found(url(address));
  if (path !== undefined) return found(socket(path));
  const near = findSocket(process.cwd());
  return near === null ? { place: url(DEFAULT_ADDRESS), env, isGuess: true } : found(socket(near));
}

function clientOf(place: Place, options: ConnectOptions, credential: Credential | null): Client {
  const ca =
    options.ca ?? (options.caFile === undefined ? undefined : readFile(options.caFile, MAX_CA_BYTES).toString());
  const token = credential?.token ?? null;
  return new Client(connectTo(place, { ca }), () => Promise.resolve(token), USER_AGENT);
}

function findCredential(options: ConnectOptions, env: Record<string, string | undefined>): Credential | null {
  const file = options.credentialFile ?? set(env, "SALLYPORT_CREDENTIAL_FILE");
  return given(options.credential, ACTORS) ?? readToken(source(file, options.credentialFd), ACTORS, env);
}

/** The token in the environment, which does not stay there: children of this program would get it. */
function tokenIn(env: Record<string, string | undefined>, kinds: readonly TokenKind[]): Credential | null {
  try {
    return fromEnvironment(env, kinds);
  } finally {
    delete env.SALLYPORT_TOKEN;
    delete env.SALLYPORT_TOKEN_ID;
    delete env.SALLYPORT_TOKEN_SECRET;
  }
}

function given(token: string | undefined, kinds: readonly TokenKind[]): Credential | null {
  return token === undefined ? null : asCredential(token.trim(), "program", kinds);
}

function source(file: string | undefined, fd: number | undefined) {
  return { file, fd: fd === undefined ? undefined : String(fd) };
}

function targetOf(options: LaunchOptions, env: Record<string, string | undefined>): Target {
  const text = options.workload ?? set(env, "SALLYPORT_WORKLOAD") ?? "default";
  const slash = text.indexOf("/");
  const namespace =
    slash < 0 ? (options.namespace ?? set(env, "SALLYPORT_NAMESPACE") ?? "default") : text.slice(0, slash);
  const workload = text.slice(slash + 1);
  if (!NAME.test(namespace) || !NAME.test(workload))
    throw usage(`“${text}” is not a workload: write namespace/workload, or workload.`);
  return { namespace, workload, environment: options.environment ?? set(env, "SALLYPORT_ENVIRONMENT") ?? "dev" };
}

function nothingToLaunchWith(place: Place, isGuess: boolean): SallyportError {
  const where = isGuess
    ? "no vault runs in this folder or one above, and there is"
    : `there is, for ${describePlace(place)},`;
  return new SallyportError("unauthenticated", `${where} no injection token and no credential`, {
    remedy:
      "Give an injection token (`tokenFile`, SALLYPORT_TOKEN_FILE, SALLYPORT_TOKEN) or a service user's token (`credentialFile`, " +
      "SALLYPORT_CREDENTIAL_FILE). On your own machine, start the vault here: `sallyport up`.",
  });
}

function set(env: Record<string, string | undefined>, name: string): string | undefined {
  return env[name] === "" ? undefined : env[name];
}
