import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { migrateDatabase, readAddress } from "#storage";
import { startVault } from "../harness.ts";
import type { TestVault } from "../harness.ts";
import { postgresDatabase } from "../postgres/database.ts";
import type { VaultDatabase } from "../postgres/roles.ts";
import { connect } from "../postgres/server.ts";

/** In the rows that the server quotes when it refuses them. */
const QUOTED = "quoted-by-the-server";

let database: VaultDatabase;
let root: pg.Client;
let folder: string;
let vault: TestVault;
let password: string;

beforeAll(async () => {
  database = await postgresDatabase();
  await migrateDatabase(readAddress(database.ownerUrl));
  root = await connect(database.superuserUrl);
  folder = await mkdtemp(join(tmpdir(), "sallyport-errors-"));
  const url = new URL(database.url);
  password = url.password;
  await writeFile(join(folder, "password"), `${password}\n`, { mode: 0o600 });
  vault = await startVault({
    settings: {
      store: `postgres://${url.username}@${url.host}${url.pathname}`,
      storePasswordFile: join(folder, "password"),
      storeConnections: "4",
    },
  });
});
afterAll(async () => {
  await vault.close();
  await root.end();
  await database.remove();
  await rm(folder, { recursive: true });
});

it("no answer, no line of the log and no event holds what the server quotes of a row that it refuses, nor the password", async () => {
  // The server quotes rows of tables without policies: it would not quote those of an org to the vault's role.
  await root.query(`
    ALTER TABLE orgs ADD CONSTRAINT no_quoted CHECK (slug NOT LIKE '${QUOTED}-check%');
    ALTER TABLE namespaces ADD CONSTRAINT no_quoted CHECK (name NOT LIKE '${QUOTED}%');
    ALTER TABLE environments ADD CONSTRAINT no_quoted CHECK (length(description) < 100 OR (description::int = 1));`);
  const app = await connect(database.url);
  const quoting = await app
    .query("INSERT INTO orgs (id, slug, state, created_at) VALUES ('x', $1, 'active', 1)", [`${QUOTED}-check`])
    .catch((error: unknown) => error as pg.DatabaseError);
  expect(quoting).toMatchObject({ code: "23514", detail: expect.stringContaining(QUOTED) });
  await app.end();

  const { owner } = vault;
  const quotes: string[] = [];
  const long = `${QUOTED} `.repeat(10);
  await owner.do("org.create", { body: { name: `${QUOTED}-twice`, owner: "anna" } });
  for (const answer of [
    await owner.try("org.create", { body: { name: `${QUOTED}-check`, owner: "anna" } }),
    await owner.try("org.create", { body: { name: `${QUOTED}-twice`, owner: "anna" } }),
    await owner.try("namespace.create", { body: { name: QUOTED } }),
    await owner.try("environment.create", { body: { name: "long", description: long } }),
    await vault.anonymous.try("session.create", { body: { org: `${QUOTED}-twice`, login: QUOTED, password: QUOTED } }),
  ]) {
    expect(answer.status).toBeGreaterThanOrEqual(400);
    quotes.push(JSON.stringify([answer.body, answer.headers]));
  }
  expect(quotes.filter((text) => text.includes('"internal"'))).toHaveLength(3);
  for (const text of quotes) expect(text).not.toContain(QUOTED);

  const log = JSON.stringify(vault.log);
  expect(vault.log.filter(({ level }) => level === "error").length).toBeGreaterThanOrEqual(3);
  const { rows } = await root.query<{ public: string; private: string | null }>(
    "SELECT public, private FROM audit_events",
  );
  expect(rows.length).toBeGreaterThan(5);
  const events = JSON.stringify(rows);
  for (const words of [
    "Failing row",
    "violates",
    "already exists",
    "Key (",
    "invalid input syntax",
    "no_quoted",
    "INSERT INTO",
    password,
  ]) {
    expect(log).not.toContain(words);
    expect(events).not.toContain(words);
    for (const text of quotes.filter((one) => !one.includes("already_exists"))) expect(text).not.toContain(words);
  }
  expect(log).not.toContain(QUOTED);
});
