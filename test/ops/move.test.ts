import { cpSync, existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isVaultError } from "#base";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { PASSWORD, startVault } from "../harness.ts";
import type { Client, TestVault } from "../harness.ts";
import { whyNoDatabase } from "../postgres/database.ts";
import type { VaultDatabase } from "../postgres/roles.ts";
import { connect } from "../postgres/server.ts";
import { SCOPE, live } from "../storage/behind-the-back.ts";
import type { Life } from "../storage/behind-the-back.ts";
import { describeUnless } from "../unless.ts";
import { loadDriver } from "../../src/storage/sqlite/open.ts";
import { dump, freshDatabase, freshFolder, moveBetween, rowsIn, vaultOn } from "./moving.ts";
import type { At } from "./moving.ts";

const Driver = loadDriver();
const folders: string[] = [];
const databases: VaultDatabase[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
afterEach(async () => {
  for (const database of databases.splice(0)) await database.remove();
});

function folderOf(): string {
  const folder = freshFolder();
  folders.push(folder);
  return folder;
}

async function databaseOf(): Promise<VaultDatabase> {
  const database = await freshDatabase();
  databases.push(database);
  return database;
}

/** A vault with at least two rows of every table under a MAC, in two orgs, that was stopped. */
async function livedIn(): Promise<{ folder: string; life: Life; sqlite: string }> {
  const folder = folderOf();
  const vault = await startVault({ folder });
  const life = await live(vault);
  await vault.close();
  return { folder, life, sqlite: join(folder, "data") };
}

async function refusal(promise: Promise<unknown>): Promise<{ code: string; message: string }> {
  try {
    await promise;
  } catch (error) {
    if (isVaultError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error("it was expected to be refused");
}

async function query(database: VaultDatabase, sql: string): Promise<readonly unknown[]> {
  const client = await connect(database.superuserUrl);
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

const exchange = (client: Client, token: string) => client.as(token).try("token.exchange", { query: {} });

/** That it serves: sign-in, values, launches, grants, the log; and writes. */
async function expectAlive(vault: TestVault, marker: string): Promise<void> {
  const { owner } = vault;
  const shown = await owner.do("secret.reveal", { params: { ...SCOPE, secret: "ALPHA" }, body: { reason: "a test" } });
  expect(shown.value).toBe("value-of-alpha");
  for (const operation of ["audit.verify", "instance-audit.verify"] as const) {
    const verdict = await owner.do(operation);
    expect(verdict).toMatchObject({ intact: true, faults: [] });
    expect(verdict.events).toBeGreaterThan(2);
  }
  const gus = await vault.anonymous.do("session.create", { body: { org: "main", login: "gus", password: PASSWORD } });
  expect((await vault.anonymous.as(gus.token).do("whoami.get")).name).toBe("gus");
  await owner.do("secret.write", { params: { ...SCOPE, secret: marker }, body: { value: `value-of-${marker}` } });
}

describeUnless(whyNoDatabase())("A vault that is moved", () => {
  test(
    "up to PostgreSQL and down again is the same in every row, and lives on in each place",
    { timeout: 120_000 },
    async () => {
      const { folder, life, sqlite } = await livedIn();
      const postgres = await databaseOf();
      const before = await dump({ sqlite });
      expect(rowsIn(before)).toBeGreaterThan(80);

      const steps = new Set<string>();
      const up = await moveBetween(
        folder,
        { sqlite },
        { postgres },
        { onStep: (step) => steps.add(step.split(" ")[0] ?? "") },
      );
      expect([...steps]).toEqual(["count", "copy", "compare", "prove", "open", "audit"]);
      const there = await dump({ postgres });
      expect(there).toEqual(before);
      expect(await dump({ sqlite })).toEqual(before);
      expect(up).toMatchObject({ continued: false, orgs: 2, values: 4 });
      // The row that says which instance it is becomes what it is at the very end, and is not counted.
      const counted = { ...there, meta: there.meta?.slice(1) ?? [] };
      for (const [table, rows] of Object.entries(counted))
        expect([table, up.tables.find((one) => one.table === table)?.rows]).toEqual([table, rows.length]);
      expect(up.chains.map(({ org }) => org)).toEqual([null, "main", "second"]);
      expect(up.proved).toBeGreaterThan(28);

      const shared = await vaultOn(folder, { postgres });
      expect((await exchange(shared.anonymous, life.tokens.used)).body.code).toBe("token_invalid");
      expect((await exchange(shared.anonymous, life.tokens.revoked)).body.code).toBe("token_invalid");
      expect((await exchange(shared.anonymous, life.tokens.unused)).status).toBe(200);
      expect((await exchange(shared.anonymous, life.tokens.unused)).body.code).toBe("token_invalid");
      await expectAlive(shared, "MADE_UP_THERE");
      await shared.vault.close();

      const below = join(folder, "data-2");
      const grown = await dump({ postgres });
      expect(rowsIn(grown)).toBeGreaterThan(rowsIn(before));
      const down = await moveBetween(folder, { postgres }, { sqlite: below });
      expect(await dump({ sqlite: below })).toEqual(grown);
      expect(down).toMatchObject({ continued: false, orgs: 2, values: 5 });

      const alone = await vaultOn(folder, { sqlite: below }, { checkpoints: join(sqlite, "checkpoints.log") });
      for (const token of Object.values(life.tokens))
        expect((await exchange(alone.anonymous, token)).body.code).toBe("token_invalid");
      await expectAlive(alone, "MADE_DOWN_HERE");
      const made = await alone.owner.do("secret.reveal", {
        params: { ...SCOPE, secret: "MADE_UP_THERE" },
        body: { reason: "a test" },
      });
      expect(made.value).toBe("value-of-MADE_UP_THERE");
      await alone.vault.close();
    },
  );

  test(
    "takes the events of several nodes along, down and up again, and the log of each slot goes on",
    { timeout: 120_000 },
    async () => {
      const { folder, sqlite } = await livedIn();
      const postgres = await databaseOf();
      await moveBetween(folder, { sqlite }, { postgres });
      const first = await vaultOn(folder, { postgres });
      cpSync(join(folder, "keys"), join(folder, "other", "keys"), { recursive: true });
      const second = await vaultOn(join(folder, "other"), { postgres });
      for (const [node, name] of [
        [first, "BY_FIRST"],
        [second, "BY_SECOND"],
      ] as const)
        await node.owner.do("secret.write", { params: { ...SCOPE, secret: name }, body: { value: name } });
      await second.vault.close();
      await first.vault.close();
      const slots = await query(postgres, "SELECT DISTINCT slot::int FROM audit_events ORDER BY slot");
      expect(slots).toEqual([{ slot: 0 }, { slot: 1 }]);

      const below = join(folder, "data-2");
      await moveBetween(folder, { postgres }, { sqlite: below });
      expect(await dump({ sqlite: below })).toEqual(await dump({ postgres }));
      const checkpoints = join(sqlite, "checkpoints.log");
      const alone = await vaultOn(folder, { sqlite: below }, { checkpoints });
      await expectAlive(alone, "MADE_DOWN_HERE");
      await alone.vault.close();

      const again = await databaseOf();
      await moveBetween(folder, { sqlite: below }, { postgres: again });
      const back = await vaultOn(folder, { postgres: again });
      await expectAlive(back, "MADE_UP_AGAIN");
      await back.vault.close();
      expect(await query(again, "SELECT slot, holder FROM nodes ORDER BY slot")).toEqual([
        { slot: 0, holder: null },
        { slot: 1, holder: null },
      ]);
    },
  );

  test(
    "that was interrupted at any batch starts nowhere, and goes on when it is asked again",
    { timeout: 240_000 },
    async () => {
      const { folder, sqlite } = await livedIn();
      const before = await dump({ sqlite });
      const whole = { up: await databaseOf(), down: join(folder, "whole") };
      const seen: string[] = [];
      await moveBetween(folder, { sqlite }, { postgres: whole.up }, { onStep: (step) => seen.push(step) });
      const writes = seen.map((step, at) => ({ step, at })).filter(({ step }) => !step.startsWith("count"));
      // Every fifth batch, and the last of each step.
      const places = writes.filter(
        ({ at, step }) => at % 5 === 0 || seen[at + 1]?.split(" ")[0] !== step.split(" ")[0],
      );
      let n = 0;
      for (const down of [false, true]) {
        for (const { at } of places.filter((_, place) => place % 3 === (down ? 1 : 0))) {
          const target: At = down ? { sqlite: join(folder, `down-${String(at)}`) } : { postgres: await databaseOf() };
          const source: At = down ? { postgres: whole.up } : { sqlite };
          const stop = new AbortController();
          let passed = 0;
          const onStep = (): void => {
            if (passed++ === at) stop.abort();
          };
          const stopped = await refusal(moveBetween(folder, source, target, { signal: stop.signal, onStep })).catch(
            () => null,
          );
          if (stopped === null) continue;
          expect(stopped).toEqual({ code: "copy_unfinished", message: "It was interrupted." });
          expect((await refusal(vaultOn(folder, target))).code).toBe("copy_unfinished");
          expect((await moveBetween(folder, source, target)).continued).toBe(true);
          expect(await dump(target)).toEqual(before);
          n += 1;
        }
      }
      expect(n).toBeGreaterThan(10);
    },
  );

  test("and was started on the source between two attempts arrives as it is now", { timeout: 60_000 }, async () => {
    const { folder, sqlite } = await livedIn();
    const postgres = await databaseOf();
    const stop = new AbortController();
    const onStep = (step: string): void => {
      if (step === "copy audit_events") stop.abort();
    };
    expect((await refusal(moveBetween(folder, { sqlite }, { postgres }, { signal: stop.signal, onStep }))).code).toBe(
      "copy_unfinished",
    );
    const vault = await startVault({ folder });
    await vault.owner.do("secret.write", { params: { ...SCOPE, secret: "ALPHA" }, body: { value: "value-of-alpha" } });
    await vault.owner.do("workload.update", {
      params: { namespace: "default", workload: "job" },
      body: { description: "new" },
    });
    await vault.vault.close();
    expect((await moveBetween(folder, { sqlite }, { postgres })).continued).toBe(true);
    expect(await dump({ postgres })).toEqual(await dump({ sqlite }));
  });
});

describeUnless(whyNoDatabase())("A copy is refused, and nothing of the target changes, when", () => {
  test(
    "the target holds a vault, this one or another, or the unfinished copy of another",
    { timeout: 120_000 },
    async () => {
      const [one, other] = [await livedIn(), await livedIn()];
      const postgres = await databaseOf();
      await moveBetween(one.folder, { sqlite: one.sqlite }, { postgres });
      const before = await dump({ postgres });
      expect(await refusal(moveBetween(one.folder, { sqlite: one.sqlite }, { postgres }))).toEqual({
        code: "target_not_empty",
        message: "The target holds this vault already, whole: there is nothing to copy.",
      });
      expect(await refusal(moveBetween(other.folder, { sqlite: other.sqlite }, { postgres }))).toEqual({
        code: "target_not_empty",
        message: "The target holds another vault.",
      });
      expect((await refusal(moveBetween(one.folder, { postgres }, { sqlite: other.sqlite }))).code).toBe(
        "target_not_empty",
      );
      expect(await dump({ postgres })).toEqual(before);

      for (const target of [{ postgres: await databaseOf() }, { sqlite: join(one.folder, "half") }]) {
        const stop = new AbortController();
        const onStep = (step: string): void => {
          if (step === "copy keys") stop.abort();
        };
        const stopped = moveBetween(one.folder, { sqlite: one.sqlite }, target, { signal: stop.signal, onStep });
        expect((await refusal(stopped)).code).toBe("copy_unfinished");
        expect(await refusal(moveBetween(other.folder, { sqlite: other.sqlite }, target))).toEqual({
          code: "target_not_empty",
          message: "The target holds the unfinished copy of another vault.",
        });
        expect((await refusal(moveBetween(one.folder, target, { sqlite: join(one.folder, "from-half") }))).code).toBe(
          "copy_unfinished",
        );
      }
    },
  );

  test("a vault runs on the source or the target", { timeout: 120_000 }, async () => {
    const { folder, sqlite } = await livedIn();
    const [postgres, empty] = [await databaseOf(), await databaseOf()];
    const running = await startVault({ folder });
    expect((await refusal(moveBetween(folder, { sqlite }, { postgres }))).code).toBe("folder_in_use");
    await running.vault.close();
    await moveBetween(folder, { sqlite }, { postgres });

    const shared = await vaultOn(folder, { postgres });
    expect(await refusal(moveBetween(folder, { postgres }, { sqlite: join(folder, "below") }))).toMatchObject({
      code: "in_use",
      message: expect.stringMatching(/^The vault \S+ runs on the source\.$/) as string,
    });
    expect(existsSync(join(folder, "below"))).toBe(false);
    await shared.vault.close();

    const elsewhere = await vaultOn(folderOf(), { postgres: empty }, {}).catch((error: unknown) => error);
    // Without the owner's URL the vault cannot make its schema: it never ran there.
    expect(isVaultError(elsewhere, "migration_needed")).toBe(true);
  });

  test("the keys are another vault's, or none", { timeout: 60_000 }, async () => {
    const [one, other] = [await livedIn(), await livedIn()];
    const target = { sqlite: join(one.folder, "target") };
    const from = { sqlite: one.sqlite };
    expect((await refusal(moveBetween(one.folder, from, target, { keys: join(other.folder, "keys") }))).code).toBe(
      "key_file_invalid",
    );
    expect((await refusal(moveBetween(one.folder, from, target, { keys: join(one.folder, "nowhere") }))).code).toBe(
      "key_file_missing",
    );
    expect(rowsIn(await dump(target))).toBe(0);
    expect((await moveBetween(one.folder, from, target)).continued).toBe(false);
  });

  test("there is no vault in the source", async () => {
    const folder = folderOf();
    expect(
      (await refusal(moveBetween(folder, { sqlite: join(folder, "nothing") }, { sqlite: join(folder, "target") })))
        .code,
    ).toBe("schema_unknown");
    expect(existsSync(join(folder, "nothing"))).toBe(false);
    expect(
      (await refusal(moveBetween(folder, { postgres: await databaseOf() }, { sqlite: join(folder, "target") }))).code,
    ).toBe("migration_needed");
  });
});

describe("What does not arrive as it has to be is named, and no vault starts on it:", () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    [
      "a grant with a wider role",
      "UPDATE grants SET role = 'admin' WHERE rowid = (SELECT min(rowid) FROM grants)",
      /^The row grt_\w+ of the table grants does not prove itself\.$/,
    ],
    [
      "a user who became the owner",
      "UPDATE principals SET org_role = 'owner' WHERE name = 'gus'",
      /^The row prn_\w+ of the table principals does not prove itself\.$/,
    ],
    [
      "a value put in another's place",
      "UPDATE secret_versions SET sealed = (SELECT sealed FROM secret_versions ORDER BY secret_id DESC LIMIT 1) WHERE rowid = (SELECT min(rowid) FROM secret_versions)",
      /^The version 1 of the secret sec_\w+ does not open\.$/,
    ],
    [
      "an event that was rewritten",
      "UPDATE audit_events SET action = 'other' WHERE seq = 5 AND org_id = (SELECT id FROM orgs WHERE slug = 'main')",
      /^The audit log of the org main does not verify: event 5: /,
    ],
    [
      "an event of the instance that was taken away",
      "DELETE FROM audit_events WHERE seq = 2 AND org_id = zeroblob(16)",
      /^The audit log of the instance does not verify: event /,
    ],
    [
      "a used token's row put away",
      "DELETE FROM exchanges WHERE rowid = (SELECT min(rowid) FROM exchanges)",
      /^The audit log of the org main does not verify: /,
    ],
    [
      "an org taken off the list",
      "DELETE FROM orgs WHERE slug = 'second'",
      /^The source has \d+ rows of orgs that it does not list\.$/,
    ],
  ];
  test.each(cases)("%s", { timeout: 60_000 }, async (_, sql, message) => {
    const { folder, sqlite } = await livedIn();
    const db = new Driver(join(sqlite, "vault.db"));
    db.pragma("foreign_keys = OFF");
    expect(db.prepare(sql).run().changes).toBe(1);
    db.close();
    const target = { sqlite: join(folder, "target") };
    const said = await refusal(moveBetween(folder, { sqlite }, target));
    expect(said.code).toBe("integrity_failed");
    expect(said.message).toMatch(message);
    if (!said.message.startsWith("The source has"))
      expect((await refusal(vaultOn(folder, target))).code).toBe("copy_unfinished");
  });

  test("a row of the target that changed on the way", { timeout: 60_000 }, async () => {
    const { folder, sqlite } = await livedIn();
    const before = readFileSync(join(sqlite, "vault.db"));
    const target = { sqlite: join(folder, "target") };
    const changes = [
      [
        "UPDATE leases SET created_at = created_at + 1 WHERE rowid = (SELECT max(rowid) FROM leases)",
        /^The row lea_\w+ of the table leases is not the same on both sides\.$/,
      ],
      [
        "UPDATE secrets SET description = 'x' WHERE rowid = (SELECT min(rowid) FROM secrets)",
        /^The row sec_\w+ of the table secrets is not/,
      ],
      ["DELETE FROM audit_checkpoints", /^The row 0\/\d+ of the table audit_checkpoints is not/],
      [
        "INSERT INTO idempotency VALUES (zeroblob(16), zeroblob(32), 'x', 1)",
        /^The row 0{64} of the table idempotency is not/,
      ],
    ] as const;
    for (const [sql, message] of changes) {
      let isDone = false;
      const onStep = (step: string): void => {
        if (isDone || !step.startsWith("compare")) return;
        isDone = true;
        const db = new Driver(join(target.sqlite, "vault.db"));
        expect(db.prepare(sql).run().changes).toBeGreaterThan(0);
        db.close();
      };
      expect((await refusal(moveBetween(folder, { sqlite }, target, { onStep }))).message).toMatch(message);
    }
    // Another attempt puts all of it right.
    expect((await moveBetween(folder, { sqlite }, target)).continued).toBe(true);
    expect(await dump(target)).toEqual(await dump({ sqlite }));
    expect(readFileSync(join(sqlite, "vault.db")).equals(before)).toBe(true);
  });
});
