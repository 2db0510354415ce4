import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startVault } from "../../test/harness.ts";
import type { TestVault } from "../../test/harness.ts";
import { Findings } from "./drill.ts";
import type { Drill } from "./drill.ts";
import { loadDriver } from "../../src/storage/sqlite/open.ts";
import type { Connection } from "../../src/storage/sqlite/open.ts";

const Driver = loadDriver();

const SIZES = { small: { secrets: 4, tokens: 6 }, full: { secrets: 40, tokens: 200 } } as const;

type Row = Readonly<Record<string, unknown>>;

export const swap: Drill = {
  name: "swap",
  what: "rows changed in the file while the vault is stopped: sealed values swapped in all pairs, moved, renamed; old token rows put back",
  async run(size) {
    const { secrets, tokens } = SIZES[size];
    const found = new Findings();
    const field = await Field.make(secrets);
    try {
      let pairs = 0;
      for (const round of rounds(secrets)) {
        pairs += round.length;
        await field.tampered(
          found,
          (file) => {
            for (const [one, other] of round) file.swap(one, other);
          },
          "values swapped",
        );
      }
      await field.tampered(
        found,
        (file) => file.intoOtherScope(),
        "values moved to another environment's secrets",
        "dev",
      );
      await field.tampered(found, (file) => file.renumber(), "old versions put in the place of new ones");
      await field.tampered(found, (file) => file.rename(), "secrets renamed");
      await field.tampered(found, (file) => file.moveHeads(), "secrets moved to another environment");
      await field.putBack(found, tokens);
      return found.report({ secrets, pairs, "tokens put back": tokens * 2 });
    } finally {
      await field.close();
    }
  },
};

/** Every pair once, in rounds in which nobody is twice (the circle method). */
function rounds(count: number): [number, number][][] {
  return Array.from({ length: count - 1 }, (_, turn) => {
    const seat = (at: number): number => (at === 0 ? 0 : ((at - 1 + turn) % (count - 1)) + 1);
    return Array.from({ length: count / 2 }, (_, at) => [seat(at), seat(count - 1 - at)]);
  });
}

/** A vault with secrets in prod and dev, one workload for each, which is stopped, changed in its file, and started again. */
class Field {
  readonly #folder: string;
  readonly #secrets: number;
  #vault: TestVault;

  private constructor(folder: string, secrets: number, vault: TestVault) {
    this.#folder = folder;
    this.#secrets = secrets;
    this.#vault = vault;
  }

  static async make(secrets: number): Promise<Field> {
    const folder = await mkdtemp(join(tmpdir(), "sallyport-drill-"));
    const vault = await startVault({ folder });
    const field = new Field(folder, secrets, vault);
    const { owner } = vault;
    for (let at = 0; at < secrets; at += 1) {
      const workload = `job${String(at)}`;
      await owner.do("workload.create", { params: { namespace: "default" }, body: { name: workload } });
      const params = { namespace: "default", workload };
      for (const environment of ["prod", "dev"])
        for (const turn of ["old", "new"])
          await owner.do("secret.write", {
            params: { environment, namespace: "default", secret: `S${String(at)}` },
            body: { value: valueOf(environment, at, turn) },
          });
      await owner.do("manifest.save", { params, body: { variables: { VALUE: { secret: `S${String(at)}` } } } });
      for (const environment of ["prod", "dev"])
        await owner.do("deployment.set", { params: { ...params, environment }, body: { version: 1 } });
    }
    return field;
  }

  async close(): Promise<void> {
    await this.#vault.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Every exchange must fail and show no value; with the file as it was, every one must work again with the same token. */
  async tampered(found: Findings, change: (file: File) => void, what: string, environment = "prod"): Promise<void> {
    const minted: string[] = [];
    for (let at = 0; at < this.#secrets; at += 1) minted.push(...(await this.#mint(at, environment, 1)));
    await this.#stopped((file) => {
      file.keep();
      change(file);
    });
    for (const [at, token] of minted.entries()) {
      const { status, text } = await this.#exchange(token);
      const shown = text.includes("value of");
      found.must(status >= 400 && !shown, `${what}: secret ${String(at)} was answered ${String(status)}`);
    }
    await this.#stopped((file) => {
      file.restore();
    });
    for (const [at, token] of minted.entries()) {
      const { status, text } = await this.#exchange(token);
      if (status !== 200 || !text.includes(valueOf(environment, at, "new")))
        found.fail(`${what}: secret ${String(at)} does not open with its rows as they were (${String(status)})`);
    }
  }

  /** Old rows of used and of revoked tokens. */
  async putBack(found: Findings, count: number): Promise<void> {
    const used = await this.#mint(0, "prod", count);
    const revoked = await this.#vault.owner.do("token.mint", {
      params: { namespace: "default", workload: "job1" },
      body: { environment: "prod", ttlSeconds: 900, count },
    });
    let old: readonly Row[] = [];
    await this.#stopped((file) => {
      old = file.tokens();
    });
    for (const token of used) if ((await this.#exchange(token)).status !== 200) found.fail("a token was not granted");
    for (const { injectionId } of revoked.items)
      await this.#vault.owner.do("injection.revoke", { params: { id: injectionId } });
    let changed = 0;
    await this.#stopped((file) => {
      changed = file.putBack(old);
    });
    if (changed < count * 2) found.fail(`only ${String(changed)} old rows were put back`);
    for (const token of [...used, ...revoked.items.map((item) => item.token)]) {
      const { status, text } = await this.#exchange(token);
      found.must(
        status >= 400 && !text.includes("value of"),
        `an old token row put back was answered ${String(status)}`,
      );
    }
  }

  async #mint(at: number, environment: string, count: number): Promise<string[]> {
    const minted = await this.#vault.owner.do("token.mint", {
      params: { namespace: "default", workload: `job${String(at)}` },
      body: { environment, ttlSeconds: 900, count },
    });
    return minted.items.map((item) => item.token);
  }

  #exchange(token: string): Promise<{ status: number; text: string }> {
    return this.#vault.anonymous.as(token).try("token.exchange", { query: {} });
  }

  async #stopped(change: (file: File) => void): Promise<void> {
    await this.#vault.vault.close();
    const file = new File(join(this.#folder, "data", "vault.db"), this.#secrets);
    try {
      change(file);
    } finally {
      file.close();
    }
    this.#vault = await startVault({ folder: this.#folder });
  }
}

function valueOf(environment: string, at: number, turn: string): string {
  return `${turn} value of S${String(at)} in ${environment}`;
}

/** The database file, as somebody who can write it has it. */
class File {
  readonly #db: Connection;
  readonly #secrets: number;

  constructor(path: string, secrets: number) {
    this.#db = new Driver(path);
    this.#db.pragma("foreign_keys = OFF");
    this.#secrets = secrets;
  }

  close(): void {
    this.#db.close();
  }

  /** Keeps what is about to be changed in tables of its own, in another file. */
  keep(): void {
    this.#attach();
    for (const table of ["secrets", "secret_versions"])
      this.#db.exec(
        `DROP TABLE IF EXISTS kept.${table}; CREATE TABLE kept.${table} AS SELECT rowid AS place, * FROM ${table}`,
      );
  }

  restore(): void {
    this.#attach();
    for (const table of ["secrets", "secret_versions"]) {
      const columns = this.#columns(table).join();
      this.#db.exec(
        `DELETE FROM ${table}; INSERT INTO ${table} (rowid, ${columns}) SELECT place, ${columns} FROM kept.${table}`,
      );
    }
  }

  /** The newest sealed values of two secrets in prod, each in the other's row. */
  swap(one: number, other: number): void {
    const [first, second] = [this.#sealed("prod", one, 2), this.#sealed("prod", other, 2)];
    this.#seal(first.rowid, second);
    this.#seal(second.rowid, first);
  }

  intoOtherScope(): void {
    for (let at = 0; at < this.#secrets; at += 1)
      this.#seal(this.#sealed("dev", at, 2).rowid, this.#sealed("prod", at, 2));
  }

  renumber(): void {
    for (let at = 0; at < this.#secrets; at += 1)
      this.#seal(this.#sealed("prod", at, 2).rowid, this.#sealed("prod", at, 1));
  }

  /** Each secret of prod gets the next one's name. */
  rename(): void {
    const heads = Array.from({ length: this.#secrets }, (_, at) => this.#head("prod", at));
    for (const [at, head] of heads.entries())
      this.#db.prepare("UPDATE secrets SET name = ? WHERE rowid = ?").run(`T${String(at)}`, head);
    for (const [at, head] of heads.entries())
      this.#db.prepare("UPDATE secrets SET name = ? WHERE rowid = ?").run(`S${String((at + 1) % this.#secrets)}`, head);
  }

  /** The secrets of dev take the place of those in prod. */
  moveHeads(): void {
    const environments = this.#environments();
    const move = this.#db.prepare("UPDATE secrets SET environment_id = ?, name = ? WHERE rowid = ?");
    for (let at = 0; at < this.#secrets; at += 1) {
      const [inProd, inDev] = [this.#head("prod", at), this.#head("dev", at)];
      move.run(environments.dev, `T${String(at)}`, inProd);
      move.run(environments.prod, `S${String(at)}`, inDev);
    }
  }

  tokens(): readonly Row[] {
    return this.#db.prepare("SELECT * FROM injections WHERE state = 'minted'").all() as Row[];
  }

  putBack(rows: readonly Row[]): number {
    const columns = this.#columns("injections");
    const set = this.#db.prepare(
      `UPDATE injections SET ${columns.map((name) => `${name} = @${name}`).join()} WHERE org_id = @org_id AND id = @id AND state <> 'minted'`,
    );
    const changed = rows.reduce((sum, row) => sum + set.run(row).changes, 0);
    // Of every other one what stands beside the token's own row is taken away as well.
    for (const row of rows.filter((_, at) => at % 2 === 0))
      for (const table of ["leases", "exchanges"])
        this.#db.prepare(`DELETE FROM ${table} WHERE org_id = @org_id AND injection_id = @id`).run(row);
    return changed;
  }

  #attach(): void {
    this.#db.prepare("ATTACH ? AS kept").run(`${this.#db.name}.drill`);
  }

  #columns(table: string): string[] {
    return (this.#db.prepare(`SELECT name FROM pragma_table_info('${table}')`).all() as { name: string }[]).map(
      ({ name }) => name,
    );
  }

  #environments(): { prod: unknown; dev: unknown } {
    const idOf = (name: string) => this.#db.prepare("SELECT id FROM environments WHERE name = ?").pluck().get(name);
    return { prod: idOf("prod"), dev: idOf("dev") };
  }

  #head(environment: "prod" | "dev", at: number): unknown {
    return this.#db
      .prepare("SELECT rowid FROM secrets WHERE environment_id = ? AND name = ?")
      .pluck()
      .get(this.#environments()[environment], `S${String(at)}`);
  }

  #sealed(environment: "prod" | "dev", at: number, version: number): Row & { rowid: unknown } {
    return this.#db
      .prepare(
        "SELECT v.rowid, v.sealed, v.key_id, v.bytes FROM secret_versions v JOIN secrets s ON s.org_id = v.org_id AND s.id = v.secret_id WHERE s.rowid = ? AND v.version = ?",
      )
      .get(this.#head(environment, at), version) as Row & { rowid: unknown };
  }

  #seal(rowid: unknown, { sealed, key_id: key, bytes }: Row): void {
    const { changes } = this.#db
      .prepare("UPDATE secret_versions SET sealed = ?, key_id = ?, bytes = ? WHERE rowid = ?")
      .run(sealed, key, bytes, rowid);
    if (changes !== 1) throw new Error("the drill changed no row");
  }
}
