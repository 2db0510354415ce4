import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { testedEngines } from "../../scripts/checks/engines.ts";
import { LONG, LONG_ON_POSTGRES, OF_POSTGRES, ON_EACH_ENGINE, WITHOUT_STORE } from "../../scripts/checks/suites.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Rooms that speak of the domain: which engine there is, only what is below and beside them knows. */
const ROOMS = [
  "access",
  "audit",
  "base",
  "contract",
  "crypto",
  "http",
  "identity",
  "injection",
  "secrets",
  "workloads",
];

/** SQL, or a word of one engine. An address of some database in an example is neither. */
const ENGINE_WORDS =
  /\b(SELECT|INSERT INTO|DELETE FROM|CREATE TABLE|UPDATE \w+ SET)\b|(?:sqlite|postgres(?!(?:ql)?:\/\/)|pragma\b|kysely|sqlstate|advisory|row.level.security|\bWAL\b)/i;

function wordsOf(text: string): string[] {
  return text.split("\n").filter((line) => ENGINE_WORDS.test(line.replace(/\b(select|update)\b/g, "")));
}

describe("the domain rooms", () => {
  it("hold no SQL and no word that belongs to one engine", () => {
    const files = ROOMS.flatMap((room) =>
      readdirSync(join(ROOT, "src", room), { recursive: true, encoding: "utf8" })
        .filter((name) => name.endsWith(".ts"))
        .map((name) => join("src", room, name)),
    );
    expect(files.length).toBeGreaterThan(100);
    const found = files.flatMap((file) =>
      wordsOf(readFileSync(join(ROOT, file), "utf8")).map((line) => `${file}: ${line}`),
    );
    expect(found).toEqual([]);
  });

  it("would be told of one that did", () => {
    for (const line of [
      'db.prepare("SELECT * FROM grants")',
      "// only on SQLite",
      "if (engine.kind === 'postgres')",
      "INSERT INTO audit_events",
      "pg_advisory_xact_lock",
      "the WAL is emptied",
    ])
      expect([line, wordsOf(line).length]).toEqual([line, 1]);
    expect(wordsOf("`postgres://${DB_USER}:${DB_PASS}@db/app` as parts")).toEqual([]);
  });
});

describe("the suites", () => {
  it("name only what there is", () => {
    const names = [...Object.keys(LONG), ...ON_EACH_ENGINE, ...LONG_ON_POSTGRES, ...WITHOUT_STORE, ...OF_POSTGRES];
    expect(names.filter((name) => !existsSync(join(ROOT, "test", name)))).toEqual([]);
    expect(ON_EACH_ENGINE.filter((name) => name in LONG)).toEqual([]);
    const ofOne = readdirSync(join(ROOT, "test/storage")).filter((name) => /^postgres-.*\.test\.ts$/.test(name));
    expect(ofOne.filter((name) => !OF_POSTGRES.includes(`storage/${name}`))).toEqual([]);
  });

  it("run on both engines unless ENGINES says otherwise, and on none that there is not", () => {
    expect(testedEngines("sqlite,postgres")).toEqual(["sqlite", "postgres"]);
    expect(testedEngines(" postgres ")).toEqual(["postgres"]);
    expect(() => testedEngines("oracle")).toThrow(/ENGINES names "oracle"/);
    expect(() => testedEngines("")).toThrow(/sqlite, postgres/);
  });
});
