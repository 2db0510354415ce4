import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startVault } from "../harness.ts";
import type { TestVault } from "../harness.ts";
import { CHROMIUM, Page } from "./browser.ts";
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

describeUnless(CHROMIUM === undefined ? "there is no chromium" : null)("In a browser /docs", () => {
  let vault: TestVault;
  beforeAll(async () => void (vault = await startVault()));
  afterAll(() => vault.close());

  test("shows every group of operations and asks the vault with the credential that was typed; the policy stops nothing of it", async () => {
    const page = await Page.open(`${vault.url}/docs`);
    try {
      await page.text("#operations-tag-whoami");
      for (const group of ["secret", "workload", "token", "audit"])
        expect(await page.text(`#operations-tag-${group}`)).toContain(group);

      await page.click(".auth-wrapper .authorize");
      expect(await page.text(".modal-ux .auth-container h4")).toContain("credential");
      await page.type(".modal-ux .auth-container input", vault.owner.token ?? "");
      await page.click(".modal-ux .auth-container button.authorize");
      await page.click(".modal-ux .auth-container button.btn-done");

      await page.click("#operations-tag-whoami");
      await page.click('[id^="operations-whoami-whoami"] .opblock-summary');
      await page.click(".try-out__btn");
      await page.click(".execute");
      expect(await page.text(".live-responses-table tbody td.response-col_status")).toMatch(/^200/);
      const shown = await page.text(".live-responses-table tbody td.response-col_description");
      const { id, name } = await vault.owner.do("whoami.get");
      for (const part of [id, name]) expect(shown).toContain(part);
      expect(await page.value("document.body.innerText")).not.toContain(vault.owner.token);
      expect(page.complaints).toEqual([]);
    } finally {
      await page.close();
    }
  }, 180_000);

  test("without a credential is refused, and says so", async () => {
    const page = await Page.open(`${vault.url}/docs`);
    try {
      await page.click("#operations-tag-whoami");
      await page.click('[id^="operations-whoami-whoami"] .opblock-summary');
      await page.click(".try-out__btn");
      await page.click(".execute");
      expect(await page.text(".live-responses-table tbody td.response-col_status")).toMatch(/^401/);
    } finally {
      await page.close();
    }
  }, 180_000);

  test("what a policy stops, and what a page says on its console, is noticed: the test above can fail", async () => {
    const page = await Page.open(`${vault.url}/docs`);
    try {
      await page.text("#operations-tag-whoami");
      expect(page.complaints).toEqual([]);
      await page.value("console.error('seen')");
      await page.value(
        "document.head.append(Object.assign(document.createElement('script'), { textContent: 'window.ran = 1' })); 0",
      );
      await expect.poll(() => page.complaints.length, { timeout: 60_000 }).toBe(2);
      expect(page.complaints.join()).toMatch(/seen.*Content Security Policy/s);
      expect(await page.value("window.ran === undefined")).toBe(true);
    } finally {
      await page.close();
    }
  }, 180_000);
});
