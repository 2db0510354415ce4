import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startVault } from "../harness.ts";
import type { TestVault } from "../harness.ts";
import { start } from "./fixture.ts";
import type { Fixture } from "./fixture.ts";
import { describeUnless } from "../unless.ts";

const PARTS = ["/docs", "/docs/start.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"];

describe("The page at /docs", () => {
  let http: Fixture;
  beforeAll(async () => void (http = await start()));
  afterAll(() => http.close());

  test.each(PARTS)("%s is for anybody, by GET and HEAD, counted and recorded nowhere", async (path) => {
    const got = await http.send("GET", path, { credential: null });
    expect(got.status).toBe(200);
    expect(got.text.length).toBeGreaterThan(400);
    const head = await http.send("HEAD", path, { credential: null });
    expect([head.status, head.headers["content-length"]]).toEqual([200, got.headers["content-length"]]);
    expect(head.text.split("\r\n\r\n")[1]).toBe("");
    expect([http.counted, http.settled]).toEqual([[], []]);
  });

  test.each(PARTS)("%s comes with one policy, which lets nothing run or load but what is served here", async (path) => {
    const { text, headers } = await http.send("GET", path, { credential: null });
    const head = text.split("\r\n\r\n")[0] ?? "";
    expect(head.match(/^content-security-policy:/gim)).toHaveLength(1);
    const policy = new Map(
      (headers["content-security-policy"] ?? "").split("; ").map((part) => {
        const [name = "", ...sources] = part.split(" ");
        return [name, sources.join(" ")] as const;
      }),
    );
    expect(Object.fromEntries(policy)).toEqual({
      "default-src": "'none'",
      "script-src": "'self'",
      "style-src": "'self'",
      "img-src": "'self' data:",
      "connect-src": "'self'",
      "base-uri": "'none'",
      "form-action": "'none'",
      "frame-ancestors": "'none'",
    });
    expect(headers["cache-control"]).toBe("no-store");
    expect(headers["x-content-type-options"]).toBe("nosniff");
  });

  test("names only what is served, and holds no script or style of its own", async () => {
    const { text } = await http.send("GET", "/docs", { credential: null });
    const named = [...text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, target = ""]) => target);
    expect(named).toHaveLength(5);
    for (const target of named.filter((one) => one !== "data:,")) {
      const path = new URL(target, "http://vault/docs").pathname;
      expect([path, (await http.send("GET", path, { credential: null })).status]).toEqual([path, 200]);
    }
    expect(text).not.toMatch(/<style|style=|<script>|<script (?![^>]*src=)|\son\w+=/);
    const script = (await http.send("GET", "/docs/start.js", { credential: null })).text;
    expect(script).toContain("persistAuthorization: false");
    expect(script).toContain("validatorUrl: null");
  });

  test("names no source map, which a browser would ask for", async () => {
    for (const path of PARTS)
      expect((await http.send("GET", path, { credential: null })).text).not.toContain("sourceMappingURL");
  });

  test.each([
    ["POST", "/docs", 405],
    ["DELETE", "/docs/start.js", 405],
    ["GET", "/docs/swagger-ui.js", 404],
    ["GET", "/docs/LICENSE", 404],
    ["GET", "/docs/..%2f..%2fpackage.json", 400],
    ["GET", "/DOCS", 404],
  ])("%s %s is refused with %i", async (method, path, status) => {
    expect((await http.send(method, path, { credential: null })).status).toBe(status);
  });

  test("a path with a slash at its end leads to it", async () => {
    const { status, headers } = await http.send("GET", "/docs/", { credential: null });
    expect([status, headers.location]).toEqual([308, "../docs"]);
  });

  test("is no operation of the document", async () => {
    const vault = await startVault();
    try {
      const document = await vault.anonymous.do("openapi.get");
      expect(Object.keys((document as { paths: object }).paths).filter((path) => path.includes("docs"))).toEqual([]);
    } finally {
      await vault.close();
    }
  });
});

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) =>
  existsSync(path),
);

describeUnless(CHROMIUM === undefined ? "there is no chromium" : null)("In a browser /docs", () => {
  let vault: TestVault;
  let profile: string;
  beforeAll(async () => {
    vault = await startVault();
    profile = mkdtempSync(join(tmpdir(), "sallyport-browser-"));
  });
  afterAll(async () => {
    await vault.close();
    rmSync(profile, { recursive: true, force: true });
  });

  test("shows every group of operations, and the policy stops nothing of it", async () => {
    const { code, dom, console } = await browse(`${vault.url}/docs`);
    expect(code).toBe(0);
    for (const group of ["secret", "workload", "token", "audit"]) expect(dom).toContain(`operations-tag-${group}`);
    expect(console).toEqual([]);
  }, 120_000);

  test("a page that is no vault's says so on the console: the test before this one can fail", async () => {
    const { console } = await browse(`data:text/html,<script>console.error("seen")</script>`);
    expect(console).toHaveLength(1);
  }, 120_000);

  async function browse(url: string): Promise<{ code: number | null; dom: string; console: readonly string[] }> {
    const args = [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--enable-logging=stderr",
      `--user-data-dir=${profile}`,
    ];
    const child = spawn(CHROMIUM ?? "", [...args, "--virtual-time-budget=20000", "--dump-dom", url], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [dom, log] = ["", ""];
    child.stdout.on("data", (part: Buffer) => (dom += part.toString()));
    child.stderr.on("data", (part: Buffer) => (log += part.toString()));
    const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
    return { code, dom, console: log.split("\n").filter((line) => line.includes(":CONSOLE")) };
  }
});
