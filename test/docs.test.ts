import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { CATALOG, FORMAT_NAMES } from "#contract";
import { sections, written } from "../scripts/documents.ts";
import { acceptedFormat } from "../src/http/accepted.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PAGES = [
  "README.md",
  "SECURITY.md",
  "CHANGELOG.md",
  "keys/README.md",
  "src/access/README.md",
  "src/injection/README.md",
  "src/secrets/README.md",
  "src/http/README.md",
  "src/client/README.md",
];

describe("the documents", () => {
  it.each(sections())("print $mark as it is ($file): `npm run docs` writes it", (section) => {
    expect(written(section)).toBe(section.text);
  });

  it("tell every format of the exchange, and what it is asked for with (src/injection/README.md)", () => {
    const rows = [...page("src/injection/README.md").matchAll(/^\| `(\w+)` \| (?:`([\w/]+)`)? ?\| .* \|$/gm)];
    expect(rows.map(([, format]) => format)).toEqual(FORMAT_NAMES);
    for (const [row, format = "", type] of rows) {
      if (type !== undefined) expect(acceptedFormat(type), row).toBe(format);
      else expect(["json", "dotenv", "yaml", "toml"], row).not.toContain(format);
    }
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
