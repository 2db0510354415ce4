import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Database } from "better-sqlite3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSqlite } from "#storage";
import { snake } from "../../src/storage/table.ts";
import { TABLES } from "../../src/storage/tables.ts";
import { TestClock } from "./composition.ts";
import { NAMES, columnsOf, drawTables } from "./drawing.ts";
import { sqlitePlace } from "./sqlite-place.ts";
import { loadDriver } from "../../src/storage/sqlite/open.ts";

const Driver = loadDriver();

interface Info {
  readonly name: string;
  readonly type: string;
  readonly notnull: number;
  readonly pk: number;
}

const PROOF = [
  { name: "changed_by", type: "blob", nullable: false },
  { name: "mac_version", type: "integer", nullable: false },
  { name: "mac_key", type: "blob", nullable: false },
  { name: "mac", type: "blob", nullable: false },
];

describe("the migrated schema", () => {
  let place: Awaited<ReturnType<typeof sqlitePlace>>;
  let db: Database;

  beforeAll(async () => {
    place = await sqlitePlace();
    const scribe = {
      write(): never {
        throw new Error("nothing is written");
      },
    };
    await (await openSqlite({ folder: place.folder, scribe, clock: new TestClock() })).close();
    db = new Driver(join(place.folder, "vault.db"), { readonly: true });
  });
  afterAll(async () => {
    db.close();
    await place.remove();
  });

  it("has the declared tables and no other", () => {
    const tables = db
      .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'kysely_%'")
      .pluck()
      .all();
    expect(tables.sort()).toEqual(NAMES.map(snake).sort());
    expect(db.prepare("SELECT count(*) FROM sqlite_master WHERE type IN ('trigger', 'view')").pluck().get()).toBe(0);
  });

  it.each(NAMES)("holds %s as it is declared: columns, types, which may be null, proof and key", (table) => {
    const infos = db.pragma(`table_info(${snake(table)})`) as Info[];
    const actual = infos.map((info) => ({
      name: info.name,
      type: info.type.toLowerCase(),
      nullable: info.notnull === 0,
    }));
    const spec = TABLES[table];
    const owned = spec.owner === "org";
    // The order of columns says nothing: a migration adds them at the end.
    const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
    const declared = [
      ...(owned ? [{ name: "org_id", type: "blob", nullable: false }] : []),
      ...columnsOf(table),
      ...(spec.macs === null ? [] : PROOF),
    ];
    expect(actual.sort(byName)).toEqual(declared.sort(byName));
    const key = infos.filter((info) => info.pk > 0).sort((a, b) => a.pk - b.pk);
    expect(key.map((info) => info.name)).toEqual([...(owned ? ["org_id"] : []), ...spec.key.map(snake)]);
    const strict = db.prepare("SELECT strict FROM pragma_table_list WHERE schema = 'main' AND name = ?").pluck();
    expect(strict.get(snake(table))).toBe(1);
  });

  it.each(NAMES)("lets no row of %s refer to a row of another org", (table) => {
    const keys = db.pragma(`foreign_key_list(${snake(table)})`) as { id: number; from: string; to: string }[];
    for (const { id } of keys) {
      const columns = keys.filter((one) => one.id === id);
      expect(columns).toContainEqual(expect.objectContaining({ from: "org_id", to: "org_id" }));
    }
  });
});

describe("the declarations", () => {
  it.each(NAMES)("cover the key of a proved row by its MAC, and nothing that changes without an event: %s", (table) => {
    const { macs, key, unaudited, columns } = TABLES[table];
    for (const list of Object.values<readonly string[]>(macs ?? {})) {
      expect(list).toEqual(expect.arrayContaining([...key]));
      expect(new Set(list).size).toBe(list.length);
      for (const name of list) {
        expect(Object.keys(columns)).toContain(name);
        expect(unaudited).not.toContain(name);
      }
    }
  });

  it("are drawn in the room's README as they are", async () => {
    const readme = await readFile(new URL("../../src/storage/README.md", import.meta.url), "utf8");
    const drawn = /<!-- tables -->\n```\n(.*?)\n```/s.exec(readme)?.[1];
    expect(drawn).toBe(drawTables());
  });
});
