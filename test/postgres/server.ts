/**
 * A real PostgreSQL server of one's own, from the programs of the npm package: for tests, drills and measurements.
 *
 * It listens on a free port of 127.0.0.1 and on no socket file, asks for a password (SCRAM-SHA-256), and is gone with
 * its folders when the process that started it ends, however that ends. On the disk:
 *
 *     <temporary>/native/       the programs, for the standbys too
 *     <folder>/data/            the data of this server      <folder>/server.log
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { appendFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import pg from "pg";
import { copyPrograms, give, runnerOf } from "./binaries.ts";
import type { Runner } from "./binaries.ts";
import { Running } from "./running.ts";
import type { StopMode } from "./running.ts";

export interface PostgresOptions {
  /** Where the data go: new or empty, and deleted at the end. Without it a temporary folder, which is right for most. */
  readonly folder?: string;
  /** Whether what was committed survives a loss of power. Without it nothing is flushed, which is faster. */
  readonly durable?: boolean;
  /** Lines for postgresql.conf, over those that are set here. Values stand as in SQL, without quotes. */
  readonly settings?: Readonly<Record<string, string>>;
  /** PEM files. `required` refuses all but the superuser without TLS; else it is the client's choice. */
  readonly tls?: { readonly certificate: string; readonly key: string; readonly required?: boolean };
  /** Whom root runs the server as. Without it `postgres` where that user exists, else `nobody`. */
  readonly user?: string;
}

/** What a client needs to reach the server, as plain data: it can go to another process. */
export interface PostgresFacts {
  readonly port: number;
  /** The password of each role. */
  readonly passwords: Readonly<Record<string, string>>;
}

const START_SECONDS = 60;

interface Place {
  readonly runner: Runner | null;
  /** The programs' folder, which is deleted with the primary. */
  readonly programs: string;
  readonly folder: string;
}

export class PostgresServer {
  readonly #place: Place;
  readonly #passwords: Record<string, string>;
  readonly #primary: boolean;
  readonly #standbys: PostgresServer[] = [];
  #port = 0;
  #running: Running | null = null;

  private constructor(place: Place, passwords: Record<string, string>, primary: boolean) {
    this.#place = place;
    this.#passwords = passwords;
    this.#primary = primary;
  }

  /** Makes a server with nothing in it but the superuser `postgres`, and starts it. */
  static async start(options: PostgresOptions = {}): Promise<PostgresServer> {
    if (options.folder !== undefined && existsSync(options.folder) && readdirSync(options.folder).length > 0)
      throw new Error(`a server is not made in ${options.folder}, which is not empty: all in it would be deleted`);
    const runner = runnerOf(options.user);
    const programs = copyPrograms(runner);
    const folder = options.folder ?? join(programs, "primary");
    const server = new PostgresServer({ runner, programs, folder }, { postgres: password() }, true);
    try {
      await server.#make(options);
      await server.#launch();
      return server;
    } catch (error) {
      await server.remove();
      throw error;
    }
  }

  get port(): number {
    return this.#port;
  }

  get folder(): string {
    return this.#place.folder;
  }

  get dataFolder(): string {
    return join(this.#place.folder, "data");
  }

  /** The server's process and those it started; none while it is stopped. */
  processes(): number[] {
    return this.#running?.processes() ?? [];
  }

  /** What the server wrote to its log so far. */
  log(): string {
    return readFileSync(this.#logFile, "utf8");
  }

  facts(): PostgresFacts {
    return { port: this.#port, passwords: { ...this.#passwords } };
  }

  url(database: string, role = "postgres"): string {
    return urlOf(this.facts(), database, role);
  }

  superuser(database = "postgres"): Promise<pg.Client> {
    return connect(this.url(database));
  }

  /** A random password for a role that is there, which `url` and `facts` know from then on. */
  async givePassword(role: string): Promise<void> {
    const secret = password();
    await this.#asSuperuser((client) =>
      client.query(`ALTER ROLE ${pg.escapeIdentifier(role)} PASSWORD ${pg.escapeLiteral(secret)}`),
    );
    this.#passwords[role] = secret;
  }

  /** A database in UTF-8, sorted by bytes. No one may be connected to its template. */
  async createDatabase(name: string, options: DatabaseOptions = {}): Promise<void> {
    await this.#asSuperuser((client) => createDatabase(client, name, options));
  }

  /** Whoever is still connected is cut off. */
  async dropDatabase(name: string): Promise<void> {
    await this.#asSuperuser((client) => dropDatabase(client, name));
  }

  /** Changes settings of the running server, for connections made from then on. Some hold only after a `restart`. */
  async configure(settings: Readonly<Record<string, string>>): Promise<void> {
    await this.#asSuperuser(async (client) => {
      for (const [name, value] of Object.entries(settings))
        await client.query(`ALTER SYSTEM SET ${pg.escapeIdentifier(name)} = ${pg.escapeLiteral(value)}`);
      const loaded = "SELECT pg_conf_load_time() AS at";
      const before = (await client.query<{ at: Date }>(loaded)).rows[0]?.at.getTime();
      await setTimeout(2);
      await client.query("SELECT pg_reload_conf()");
      while ((await client.query<{ at: Date }>(loaded)).rows[0]?.at.getTime() === before) await setTimeout(5);
    });
  }

  /** `smart` waits for every client to leave, `fast` sends them away, `immediate` is a crash that says so. */
  async stop(mode: StopMode = "fast"): Promise<void> {
    await this.#running?.stop(mode);
    this.#running = null;
  }

  /** SIGKILL for every process of the server at once. */
  async kill(): Promise<void> {
    await this.#running?.kill();
    this.#running = null;
  }

  /** Starts it again after `stop` or `kill` (or stops it first), on the same data and the same port. */
  async restart(): Promise<void> {
    await this.stop();
    await this.#launch();
  }

  /**
   * A second server that follows this one, from a copy of its data; this one is stopped meanwhile. With `synchronous`
   * every commit on this one waits from then on until the standby has it, also while there is no standby, until
   * `configure({ synchronous_standby_names: "" })`.
   */
  async standby(name: string, options: { readonly synchronous?: boolean } = {}): Promise<PostgresServer> {
    const folder = join(this.#place.programs, `standby-${name}`);
    const standby = new PostgresServer({ ...this.#place, folder }, this.#passwords, false);
    this.#standbys.push(standby);
    makeFolder(folder, this.#place.runner);
    await this.stop();
    await this.#run("cp", "-Rp", this.dataFolder, standby.dataFolder);
    // While it is stopped: a setting that is only loaded anew reaches the one who makes commits wait a moment later.
    if (options.synchronous === true)
      await appendFile(join(this.dataFolder, "postgresql.conf"), line("synchronous_standby_names", name));
    await this.#launch();
    const primary = { host: "127.0.0.1", port: String(this.#port), user: "postgres", application_name: name };
    const words = Object.entries({ ...primary, password: this.#passwords.postgres ?? "" }).map(([k, v]) => `${k}=${v}`);
    await appendFile(join(standby.dataFolder, "postgresql.conf"), line("primary_conninfo", words.join(" ")));
    const signal = join(standby.dataFolder, "standby.signal");
    writeFileSync(signal, "");
    give(signal, this.#place.runner, 0o600);
    await standby.#launch();
    return standby;
  }

  /** Makes a standby take over: it follows no one from then on, and takes writes. Stop or kill the other one first. */
  async promote(): Promise<void> {
    await this.#asSuperuser(async (client) => {
      const { rows } = await client.query<{ done: boolean }>("SELECT pg_promote(true, 60) AS done");
      if (rows[0]?.done !== true) throw new Error(`the standby was not promoted:\n${this.log()}`);
    });
  }

  /** Ends the server, its standbys with it, and deletes all they wrote. */
  async remove(): Promise<void> {
    await Promise.all(this.#standbys.map((standby) => standby.remove()));
    await this.stop("immediate");
    await rm(this.#place.folder, { recursive: true, force: true });
    if (this.#primary) await rm(this.#place.programs, { recursive: true, force: true });
  }

  get #logFile(): string {
    return join(this.#place.folder, "server.log");
  }

  async #make(options: PostgresOptions): Promise<void> {
    const { folder, runner } = this.#place;
    makeFolder(folder, runner);
    const word = join(folder, "password");
    writeFileSync(word, `${this.#passwords.postgres ?? ""}\n`, { mode: 0o600 });
    give(word, runner, 0o600);
    await this.#run(
      this.#program("initdb"),
      ...["--pgdata", this.dataFolder, "--username=postgres", `--pwfile=${word}`],
      ...["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"],
    );
    rmSync(word);

    const tls = options.tls;
    const settings: Record<string, string> = {
      listen_addresses: "127.0.0.1",
      unix_socket_directories: "",
      max_connections: "200",
      max_wal_size: "256MB",
      min_wal_size: "32MB",
      fsync: options.durable === true ? "on" : "off",
      full_page_writes: options.durable === true ? "on" : "off",
      synchronous_commit: "on",
      timezone: "UTC",
      // The passwords are random: to make guessing slow has no use, and each connection of a test pays for it.
      scram_iterations: "1",
      ...(tls && { ssl: "on", ssl_cert_file: "server.crt", ssl_key_file: "server.key" }),
      ...options.settings,
    };
    const lines = Object.entries(settings).map(([name, value]) => line(name, value));
    await appendFile(join(this.dataFolder, "postgresql.conf"), lines.join(""));
    const rule = (kind: string, where: string, who: string) => `${kind} ${where} ${who} 127.0.0.1/32 scram-sha-256\n`;
    const rules = [
      rule("host", "all", "postgres"),
      rule("host", "replication", "postgres"),
      rule(tls?.required === true ? "hostssl" : "host", "all", "all"),
    ];
    writeFileSync(join(this.dataFolder, "pg_hba.conf"), rules.join(""));
    if (tls !== undefined) {
      for (const [from, name] of [
        [tls.certificate, "server.crt"],
        [tls.key, "server.key"],
      ] as const) {
        copyFileSync(from, join(this.dataFolder, name));
        give(join(this.dataFolder, name), runner, 0o600);
      }
    }
  }

  /**
   * Starts it on its port, or on a free one the first time. Between the moment the system names a free port and the
   * moment the server takes it, another may: then the first start tries another port, and a later one tries again.
   */
  async #launch(): Promise<void> {
    const fixed = this.#port !== 0;
    const { programs, folder, runner } = this.#place;
    for (let tries = 1; ; tries += 1) {
      const port = fixed ? this.#port : await freePort();
      writeFileSync(this.#logFile, "", { flag: "a" });
      const said = this.log().length;
      const running = new Running([this.#program("postgres"), "-D", this.dataFolder, "-p", String(port)], {
        data: this.dataFolder,
        log: this.#logFile,
        folders: [folder, this.#primary ? programs : folder],
        runner,
      });
      if (await running.ready(START_SECONDS)) {
        this.#port = port;
        this.#running = running;
        return;
      }
      await running.kill();
      const log = this.log().slice(said);
      if (tries >= 10 || !log.includes("could not bind")) throw new Error(`PostgreSQL did not start:\n${log}`);
      if (fixed) await setTimeout(200);
    }
  }

  async #asSuperuser<T>(act: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = await this.superuser();
    try {
      return await act(client);
    } finally {
      await client.end();
    }
  }

  #program(name: "initdb" | "postgres"): string {
    return join(this.#place.programs, "native/bin", name);
  }

  /** Runs a program as the server's user; throws what it said if it failed. */
  async #run(program: string, ...args: string[]): Promise<void> {
    const child = spawn(program, args, {
      cwd: this.#place.folder,
      env: { PATH: "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" },
      stdio: ["ignore", "pipe", "pipe"],
      ...(this.#place.runner ?? {}),
    });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        said += String(chunk);
      });
    }
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    if (code !== 0) throw new Error(`${program} failed:\n${said}`);
  }
}

export interface DatabaseOptions {
  /** The database to copy; without it an empty one. */
  readonly template?: string;
  readonly owner?: string;
}

/** With the password in it: for a driver, not for a log. */
export function urlOf(facts: PostgresFacts, database: string, role: string): string {
  const secret = facts.passwords[role];
  if (secret === undefined) throw new Error(`no password is known for the role ${role}`);
  return `postgres://${role}:${secret}@127.0.0.1:${String(facts.port)}/${encodeURIComponent(database)}`;
}

/** A connected client. One whose server is killed under it only fails its queries: tests do that on purpose. */
export async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  return client;
}

export async function createDatabase(client: pg.Client, name: string, options: DatabaseOptions): Promise<void> {
  const owner = options.owner === undefined ? "" : ` OWNER ${pg.escapeIdentifier(options.owner)}`;
  const template = pg.escapeIdentifier(options.template ?? "template0");
  await client.query(
    `CREATE DATABASE ${pg.escapeIdentifier(name)}${owner} TEMPLATE ${template} ENCODING 'UTF8' LOCALE 'C'`,
  );
}

export async function dropDatabase(client: pg.Client, name: string): Promise<void> {
  await client.query(`DROP DATABASE IF EXISTS ${pg.escapeIdentifier(name)} WITH (FORCE)`);
}

/** A line of postgresql.conf. */
function line(name: string, value: string): string {
  return `${name} = '${value.replaceAll("'", "''")}'\n`;
}

function makeFolder(folder: string, runner: Runner | null): void {
  mkdirSync(folder, { recursive: true });
  give(folder, runner, 0o755);
}

function password(): string {
  return randomBytes(18).toString("base64url");
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
