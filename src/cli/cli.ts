import type { OperationId, Response } from "#contract";
import { NAME } from "#base";
import { Client, connect, describePlace, readFile, readPrivateFile } from "#client";
import type { Asked, Credential, TransportOptions } from "#client";
import type { Given } from "./given.ts";
import { findCredential, sourceOf } from "./credential.ts";
import type { Doors } from "./doors.ts";
import { CliError, usage } from "./error.ts";
import { Input } from "./input.ts";
import { Output } from "./output.ts";
import { findVault } from "./place.ts";
import type { Where } from "./place.ts";
import { readProject } from "./project.ts";
import type { Project } from "./project.ts";

/** For who is refused, or sees nothing, as nobody in particular. */
export const GUEST_HINT =
  "You came by the machine's own socket, which is the owner only while there is one user and the vault listens on this " +
  "machine only: sallyport login";

/** Where secrets are kept. */
export interface Scope {
  readonly environment: string;
  readonly namespace: string;
}

/** `environment/namespace`. */
export function scopeText({ environment, namespace }: Scope): string {
  return `${environment}/${namespace}`;
}

const MAX_PEM_BYTES = 1024 * 1024;

/** What a command works with: where the vault is, who is calling, what is typed, where results go. Each found when asked for. */
export class Cli {
  readonly doors: Doors;
  readonly out: Output;
  readonly input: Input;
  /** The folder in which projects, sockets and files are looked for. */
  readonly folder: string;
  readonly #given: Given;
  readonly #bearer = once(() => this.#findBearer());
  #where: Where | null = null;
  #client: Client | null = null;
  #project: Project | null = null;

  constructor(doors: Doors, given: Given) {
    this.doors = doors;
    this.#given = given;
    this.out = new Output(doors.stdout, doors.stderr, given.flag("json"));
    this.input = new Input(doors.stdin, doors.stderr);
    this.folder = doors.folder ?? process.cwd();
  }

  get env(): Doors["env"] {
    return this.doors.env;
  }

  where(newProfile = false): Where {
    const given = this.#given;
    this.#where ??= findVault(
      {
        address: given.text("address"),
        socket: given.text("socket"),
        profile: given.text("profile"),
        insecurePlainHttp: given.flag("insecure-plain-http"),
        newProfile,
      },
      this.env,
      this.folder,
    );
    return this.#where;
  }

  /** The credential of whoever is calling, or `null`: right only at the machine's own socket. */
  async credential(): Promise<Credential | null> {
    const source = sourceOf(this.#given, "credential", this.env);
    const credential = await findCredential(source, this.where(), this.env);
    if (credential?.from === "environment") this.warnOfEnvironment();
    return credential;
  }

  get client(): Client {
    this.#client ??= new Client(
      connect(this.where().place, this.#tls()),
      this.#bearer,
      `sallyport/${this.doors.version}`,
    );
    return this.#client;
  }

  async call<Op extends OperationId>(operation: Op, asked: Asked<Op>): Promise<Response<Op>> {
    return this.client.call(operation, asked);
  }

  /** True at the machine's own socket, without a credential, where that is not the owner: in a vault of several people. */
  async isGuest(): Promise<boolean> {
    try {
      if (this.where().place.kind !== "socket" || (await this.#bearer()) !== null) return false;
      const me = await this.call("whoami.get", {});
      return me.type === "machine" && me.role === "guest";
    } catch {
      // It was asked for the sake of a hint.
      return false;
    }
  }

  /** A child can read its parent's environment, and so can whoever may look into /proc. */
  warnOfEnvironment(): void {
    if (this.env.SALLYPORT_NO_WARN === "1") return;
    this.out.warn(
      "The credential came from the environment, which child processes and /proc can show to others. " +
        "Better: --credential-file, --credential-fd or a profile (SALLYPORT_NO_WARN=1 silences this).",
    );
  }

  environment(given: Given): string {
    return (
      given.text("env") ??
      this.#set("SALLYPORT_ENVIRONMENT") ??
      this.project().environment ??
      this.where().profile?.environment ??
      "dev"
    );
  }

  namespace(given: Given): string {
    return given.text("namespace") ?? this.#set("SALLYPORT_NAMESPACE") ?? this.project().namespace ?? "default";
  }

  /** `namespace/workload`, or `workload` in the namespace of `--namespace`. */
  workload(given: Given, text: string): { namespace: string; workload: string } {
    const slash = text.indexOf("/");
    const said = given.text("namespace");
    const namespace = slash < 0 ? this.namespace(given) : text.slice(0, slash);
    const workload = text.slice(slash + 1);
    if (!NAME.test(namespace) || !NAME.test(workload)) {
      throw usage(`“${text}” is not a workload: write namespace/workload, or workload.`);
    }
    if (said !== undefined && said !== namespace) throw usage(`“${text}” names a namespace, and --namespace another.`);
    return { namespace, workload };
  }

  /** `environment/namespace`, or `environment` with the namespace of `--namespace`. */
  scope(given: Given, text: string): Scope {
    const [environment = "", namespace = this.namespace(given), ...more] = text.split("/");
    if (!NAME.test(environment) || !NAME.test(namespace) || more.length > 0) {
      throw usage(`“${text}” is not a scope: write environment/namespace, or environment.`);
    }
    return { environment, namespace };
  }

  project(): Project {
    this.#project ??= readProject(this.folder);
    return this.#project;
  }

  /** Asks before something that cannot be undone; where nobody can be asked, `--yes` has to be said. */
  async confirm(given: Given, question: string): Promise<void> {
    if (given.flag("yes")) return;
    if (!this.input.isTerminal) throw usage(`${question} There is no terminal to ask at: say --yes.`);
    if (!(await this.input.confirm(question))) throw new CliError("interrupted", "Nothing was changed.");
  }

  close(): void {
    this.#client?.close();
  }

  async #findBearer(): Promise<string | null> {
    const credential = await this.credential();
    const { place, profileName, isGuess } = this.where();
    if (credential === null && place.kind !== "socket") {
      const profile = profileName === "default" ? "" : ` --profile ${profileName}`;
      // Most likely a person alone, in another folder than the vault's or before it was started.
      const guess = isGuess ? "no vault runs in this folder or one above, and " : "";
      throw new CliError("unauthenticated", `${guess}you are not signed in to ${describePlace(place)}`, {
        remedy: `${isGuess ? "Start the vault here with `sallyport up`. Or sign" : "Sign"} in with \`sallyport login${profile}\`, or name a service user's token with --credential-file.`,
      });
    }
    return credential?.token ?? null;
  }

  /** The files of a TLS connection, each from its option, else its variable. */
  #tls(): TransportOptions {
    const named = (option: string, variable: string) => this.#given.text(option) ?? this.#set(variable);
    const [ca, certificate, key] = [
      named("ca-file", "SALLYPORT_CA_FILE"),
      named("client-cert", "SALLYPORT_CLIENT_CERT"),
      named("client-key", "SALLYPORT_CLIENT_KEY"),
    ];
    if ((certificate === undefined) !== (key === undefined))
      throw usage("A client certificate and its key belong together: --client-cert and --client-key.");
    const text = (path: string) => {
      const pem = readFile(path, MAX_PEM_BYTES).toString("latin1");
      if (!pem.includes("-----BEGIN CERTIFICATE-----")) throw usage(`${path} holds no certificate in PEM.`);
      return pem;
    };
    return {
      ...(ca === undefined ? {} : { ca: text(ca) }),
      ...(certificate === undefined ? {} : { certificate: text(certificate) }),
      ...(key === undefined ? {} : { key: readPrivateFile(key, this.env) }),
    };
  }

  #set(name: string): string | undefined {
    const value = this.env[name];
    return value === "" ? undefined : value;
  }
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | null = null;
  return () => (made ??= make());
}
