import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { HOLDERS, roleTable } from "#access";
import { ERRORS } from "#base";
import type { ErrorCode } from "#base";
import { CATALOG } from "#contract";
import { STATUS } from "#http";
import { EXIT_MEANINGS } from "../src/cli/exit-codes.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PAGES = [
  "README.md",
  "SECURITY.md",
  "CHANGELOG.md",
  "keys/README.md",
  "src/access/README.md",
  "src/injection/README.md",
  "src/http/README.md",
];

describe("the documents", () => {
  it("print the table of roles as it is (src/access/README.md)", () => {
    const roles = roleTable().map((role) => role.name);
    const rows = Object.entries<readonly string[]>(HOLDERS).map(
      ([permission, holders]) =>
        `| \`${permission}\` | ${roles.map((role) => (holders.includes(role) ? "✓" : " ")).join(" | ")} |`,
    );
    const table = [`| permission | ${roles.join(" | ")} |`, `|---|${roles.map(() => "---").join("|")}|`, ...rows];
    expect(between("src/access/README.md", "roles")).toBe(table.join("\n"));
  });

  it("print the table of errors as it is (src/http/README.md)", () => {
    const codes = Object.keys(ERRORS) as ErrorCode[];
    const rows = codes.map((code) => `| ${String(STATUS[code])} | \`${code}\` | ${ERRORS[code].title} |`);
    expect(between("src/http/README.md", "errors")).toBe(
      ["| status | code | title |", "|---|---|---|", ...rows].join("\n"),
    );
  });

  it("print the exit codes as they are (README.md)", () => {
    const rows = EXIT_MEANINGS.map(([code, meaning]) => `| ${code} | ${meaning} |`);
    expect(page("README.md")).toContain(["| exit code | meaning |", "|---|---|", ...rows].join("\n"));
  });

  it("link only to what is there", () => {
    const broken = PAGES.flatMap((name) =>
      [...page(name).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
        .map(([, target = ""]) => target)
        .filter((target) => !target.startsWith("https://"))
        .filter((target) => !existsSync(join(ROOT, dirname(name), target)))
        .map((target) => `${name}: ${target}`),
    );
    expect(broken).toEqual([]);
  });

  it("name only paths of the API that there are", () => {
    const patterns = Object.values(CATALOG).map(({ path }) => new RegExp(`^${path.replace(/\{\w+\}/g, "[^/]+")}$`));
    const unknown = PAGES.flatMap((name) =>
      [...page(name).matchAll(/\/v1\/[A-Za-z0-9_/{}.-]+/g)]
        .map(([path]) => path.replace(/\.$/, ""))
        .filter((path) => !patterns.some((pattern) => pattern.test(path)))
        .map((path) => `${name}: ${path}`),
    );
    expect(unknown).toEqual([]);
  });
});

function page(name: string): string {
  return readFileSync(join(ROOT, name), "utf8");
}

function between(name: string, mark: string): string | undefined {
  return new RegExp(`<!-- ${mark}:[^>]*-->\n([\\s\\S]*?)\n<!-- /${mark} -->`).exec(page(name))?.[1];
}
