import { existsSync, readFileSync, readdirSync } from "node:fs";
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
  ...readdirSync(join(ROOT, "src"))
    .map((room) => `src/${room}/README.md`)
    .filter((name) => existsSync(join(ROOT, name))),
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

  it("link only to what is there, and to headings that are there", () => {
    const links = PAGES.flatMap((name) =>
      [...page(name).matchAll(/\]\(([^)#\s]*)(?:#([^)\s]+))?\)/g)]
        .map(([, target = "", heading]) => ({ name, target, heading }))
        .filter(({ target }) => !target.startsWith("https://")),
    );
    expect(links.length).toBeGreaterThan(30);
    const broken = links
      .map((link) => ({ ...link, path: link.target === "" ? link.name : join(dirname(link.name), link.target) }))
      .filter(({ path, heading }) => {
        if (!existsSync(join(ROOT, path))) return true;
        return heading !== undefined && !headingsOf(page(path)).includes(heading);
      });
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

/** As the pages that show Markdown name them in an address. */
function headingsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

function page(name: string): string {
  return readFileSync(join(ROOT, name), "utf8");
}
