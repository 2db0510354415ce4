import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Auth } from "#contract";
import { Client, PASSWORD, ownerSetUp, startServer } from "../../test/harness.ts";
import type { Answer, ServerProcess } from "../../test/harness.ts";
import { canaryOf, newCanary } from "../drills/canary-forms.ts";
import type { Canary } from "../drills/canary-forms.ts";
import { pause } from "../drills/drill.ts";
import type { Chance } from "./chance.ts";
import type { Words } from "./schema.ts";

const IN_PROD = { environment: "prod", namespace: "default" };
const WORKLOAD = { namespace: "default", workload: "etl" };
/** Of each kind of credential the newest are kept. */
const KEPT = 30;

/** A real vault with something in it, people of every kind, and the credentials that they hold. */
export class World {
  readonly server: ServerProcess;
  /** What no answer may hold but where a value is handed out. */
  readonly values: readonly Canary[] = [newCanary("a value"), newCanary("another value")];
  readonly password: Canary = canaryOf("a password", PASSWORD, PASSWORD);
  /** Credentials by kind, the newest last. */
  readonly #held = new Map<Auth | "stranger", string[]>();
  readonly #ids: string[] = [];
  broken = false;
  #owner: Client;

  private constructor(server: ServerProcess) {
    this.server = server;
    this.#owner = new Client(server.url, null);
  }

  static async start(): Promise<World> {
    const folder = await mkdtemp(join(tmpdir(), "sallyport-fuzz-"));
    try {
      const world = new World(await startServer(folder));
      const setUp = new Client(world.server.url, await ownerSetUp(folder));
      await setUp.do("set-up.complete", { body: { password: PASSWORD } });
      await world.mend();
      return world;
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  get owner(): Client {
    return this.#owner;
  }

  /** Makes whatever is not there, or not any more: what is walked over is also deleted, disabled and signed out. */
  async mend(): Promise<void> {
    this.broken = false;
    const anonymous = new Client(this.server.url, null);
    const signIn = async (login: string): Promise<string | null> => {
      const answer = await anonymous.try("session.create", { body: { org: "main", login, password: PASSWORD } });
      return answer.status === 200 ? answer.body.token : null;
    };
    let owner: string | null = null;
    // The places for password hashing may all be taken.
    for (let tries = 0; owner === null && tries < 20; tries++) {
      if (tries > 0) await pause(250);
      owner = await signIn("owner");
    }
    if (owner === null) throw new Error("the owner cannot sign in any more");
    this.#owner = anonymous.as(owner);
    const tell = this.#owner;
    for (const name of ["dev", "prod", "spare"]) await tell.try("environment.create", { body: { name } });
    for (const name of ["default", "other"]) await tell.try("namespace.create", { body: { name } });
    for (const [at, secret] of ["DB_URL", "API_KEY"].entries()) {
      const params = { ...IN_PROD, secret };
      await tell.try("secret.restore", { params });
      await tell.try("secret.write", { params, body: { value: this.values[at]?.text ?? "" } });
    }
    await tell.try("workload.create", { params: { namespace: "default" }, body: { name: "etl" } });
    await tell.try("workload.update", { params: WORKLOAD, body: { state: "active" } });
    await tell.try("manifest.save", {
      params: WORKLOAD,
      body: { variables: { DB_URL: { secret: "DB_URL" }, LEVEL: { value: "info" } } },
    });
    await tell.try("deployment.set", { params: { ...WORKLOAD, environment: "prod" }, body: {} });

    const actors = [owner];
    for (const [login, role, grant] of [
      ["ada", "admin", null],
      ["bea", "member", "builder"],
      ["otto", "guest", "operator"],
      ["ann", "guest", "auditor"],
    ] as const) {
      const made = await tell.try("user.create", { body: { login, role } });
      if (made.status === 201) {
        await anonymous.as(made.body.setUpToken).try("set-up.complete", { body: { password: PASSWORD } });
        if (grant !== null)
          await tell.try("grant.create", {
            body: { principal: login, role: grant, ...(grant === "auditor" ? {} : IN_PROD) },
          });
      }
      // Each sign-in hashes a password, which takes as long as a hundred requests.
      const token = made.status === 201 || this.#held.get("actor")?.length !== KEPT ? await signIn(login) : null;
      if (token !== null) actors.push(token);
    }
    for (const [name, kind] of [
      ["etl-host", "runner"],
      ["builds", "ci"],
      ["helper", "agent"],
    ] as const) {
      const made = await tell.try("service-user.create", { body: { name, kind } });
      if (made.status === 201) actors.push(made.body.token.token);
    }
    await tell.try("grant.create", {
      body: { principal: "etl-host", role: "service", environment: "prod", ...WORKLOAD },
    });
    // The owner's as often as all others' together: most of what there is only an owner may do.
    this.#hold("actor", ...actors, ...actors.slice(1).map(() => owner));
    for (const login of ["guest-1", "guest-2", "guest-3"]) {
      const made = await tell.try("user.create", { body: { login, role: "guest" } });
      const again = made.status === 201 ? made : await tell.try("user.invite", { params: { user: login } });
      if (again.status < 300) this.#hold("set-up", again.body.setUpToken);
    }
    const minted = await tell.try("token.mint", {
      params: WORKLOAD,
      body: { environment: "prod", ttlSeconds: 900, count: 20 },
    });
    if (minted.status === 201) this.#hold("injection", ...minted.body.items.map(({ token }) => token));
    const org = await tell.try("org.create", { body: { name: "elsewhere", owner: "boss" } });
    if (org.status === 201) {
      const boss = await anonymous.as(org.body.setUpToken).try("set-up.complete", { body: { password: PASSWORD } });
      if (boss.status === 200) this.#hold("stranger", boss.body.token);
    }
  }

  /** A credential for an operation: usually of its kind, otherwise of another, of another org, or none that is good. */
  credential(auth: Auth, chance: Chance): string | null {
    const good = this.#held.get(auth) ?? [];
    if (chance.is(0.95) && good.length > 0) return chance.of(good);
    const all = [...this.#held.values()].flat();
    const one = chance.of(all.length > 0 ? all : ["x"]);
    return chance.of([
      null,
      one,
      ...(this.#held.get("stranger") ?? []),
      `${one.slice(0, -1)}${one.endsWith("0") ? "1" : "0"}`,
      one.slice(0, -5),
      one.replace(/^sp_[a-z]+_/, "sp_inj_"),
      one.toUpperCase(),
      "sp_ses_",
      "x",
      "a".repeat(600),
    ]);
  }

  /** Learns of an answer what later requests can use. */
  learn(id: string, answer: Answer<unknown>): void {
    if (answer.status >= 300) return;
    for (const [, found = ""] of answer.text.matchAll(
      /"(?:id|principalId|injectionId|credentialId)":"([a-z]+_[0-9a-z]{26})"/g,
    )) {
      this.#ids.push(found);
      if (this.#ids.length > 200) this.#ids.shift();
    }
    for (const [token, kind] of answer.text.matchAll(/sp_(lease|set|inj|ses)_[0-9a-z]{109}/g)) {
      if (kind === "lease") this.#hold("lease", token);
      if (kind === "set") this.#hold("set-up", token);
      if (kind === "inj") this.#hold("injection", token);
      if (kind === "ses" && id === "session.create") this.#hold("actor", token);
    }
  }

  /** A credential that was refused is seldom tried again; where the owner's was, all is mended before the next. */
  forget(token: string | null): void {
    if (token === null) return;
    for (const [kind, held] of this.#held) {
      if (kind !== "stranger")
        this.#held.set(
          kind,
          held.filter((one) => one !== token),
        );
    }
    if (token === this.#owner.token) this.broken = true;
  }

  /** What is secret of every credential that is held: none may stand in an answer after the one that handed it out. */
  credentials(): readonly string[] {
    return [...this.#held.values()].flat().map((token) => token.slice(-48));
  }

  readonly words: Words = (field, chance) => {
    switch (field) {
      case "environment":
      case "environments":
      case "confirm":
        return chance.of(["dev", "prod", "spare"]);
      case "namespace":
      case "namespaces":
        return chance.of(["default", "default", "other"]);
      case "secret":
        return chance.of(["DB_URL", "API_KEY", "NEW_ONE"]);
      case "workload":
      case "workloads":
        return chance.of(["etl", "etl", "spare"]);
      case "user":
      case "login":
      case "principal":
      case "owner":
        return chance.of(["ada", "bea", "otto", "ann", "guest-1", "etl-host", "owner"]);
      case "serviceUser":
        return chance.of(["etl-host", "builds", "helper"]);
      case "role":
        return chance.of(["viewer", "builder", "operator", "runner", "service", "auditor", "guest", "member"]);
      case "id":
        return this.#ids.length === 0 ? null : chance.of(this.#ids);
      case "name":
        return chance.of(["dev", "spare", "etl", "fresh", `fresh-${String(chance.below(1_000))}`]);
      case "org":
        return chance.of(["main", "elsewhere"]);
      case "password":
        // Never the one that people here sign in with: they must be able to, afterwards.
        return chance.of(["another good long password", "short"]);
      case "version":
        return chance.of(["1", "2", "3"]);
      case "limit":
        return chance.of(["1", "10", "1000"]);
      case "reason":
      case "note":
      case "description":
        return "because of the fuzz";
      case "cidrs":
        return chance.of(["10.0.0.0/8", "127.0.0.0/8", "::1/128"]);
      case "encoding":
        return chance.of(["utf8", "base64"]);
      default:
        return null;
    }
  };

  async close(): Promise<void> {
    this.server.kill("SIGKILL");
    await this.server.ended;
    await rm(this.server.folder, { recursive: true, force: true });
  }

  #hold(kind: Auth | "stranger", ...tokens: string[]): void {
    this.#held.set(kind, [...(this.#held.get(kind) ?? []), ...tokens].slice(-KEPT));
  }
}
