import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

/** One file for each rule: an import upwards, on the same floor, past a door; a driver and node:crypto; a stray room. */
const BROKEN = [
  ["src/base/upwards.ts", 'import { decide } from "#access";\nexport const broken = decide;\n'],
  ["src/secrets/sideways.ts", 'import { Users } from "#identity";\nexport const broken = Users;\n'],
  ["src/http/past-the-door.ts", 'import { decide } from "../access/decide.ts";\nexport const broken = decide;\n'],
  ["src/audit/driver.ts", 'import Database from "better-sqlite3";\nexport const broken = Database;\n'],
  ["src/identity/crypto.ts", 'import { randomBytes } from "node:crypto";\nexport const broken = randomBytes;\n'],
  ["src/helpers/stray.ts", "export const broken = 1;\n"],
] as const;

const root = resolve(import.meta.dirname, "../..");

describe("the walls between rooms", () => {
  let tree: string;
  beforeAll(() => {
    tree = mkdtempSync(join(tmpdir(), "sallyport-walls-"));
    for (const part of ["src", "package.json", "tsconfig.json"])
      cpSync(join(root, part), join(tree, part), { recursive: true });
    symlinkSync(join(root, "node_modules"), join(tree, "node_modules"));
  });
  afterAll(() => {
    rmSync(tree, { recursive: true, force: true });
  });

  function check(folder: string): { code: number | null; said: string } {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ["--import", "tsx", join(root, "scripts/checks/walls.ts"), folder],
      { cwd: root, encoding: "utf8" },
    );
    return { code: status, said: stdout + stderr };
  }

  it("fall over each way to break one, and over nothing else in the tree as it is", () => {
    for (const [file, text] of BROKEN) {
      mkdirSync(dirname(join(tree, file)), { recursive: true });
      writeFileSync(join(tree, file), text);
    }
    const { code, said } = check(tree);
    expect(code).toBe(1);
    for (const [file] of BROKEN) expect(said).toContain(file);
    const others = said.split("\n").filter((line) => line !== "" && !BROKEN.some(([file]) => line.includes(file)));
    expect(others).toEqual([]);
  });

  it("do not hold where there is nothing to check", () => {
    const empty = mkdtempSync(join(tmpdir(), "sallyport-walls-"));
    mkdirSync(join(empty, "src"));
    try {
      const { code, said } = check(empty);
      expect(code).toBe(1);
      expect(said).toContain("no file under src");
    } finally {
      rmSync(empty, { recursive: true });
    }
  });
});
