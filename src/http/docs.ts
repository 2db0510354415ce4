import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { VaultError } from "#base";
import { isOutOfDescriptors } from "./problem.ts";
import type { Encoded } from "./reply.ts";

/**
 * The reader's page of the API: Swagger UI over `/v1/openapi.json`. It is for anybody, like the document itself, and no
 * operation of it: nothing is asked of the vault and nothing is recorded.
 *
 * Everything that it loads is served from here, and the browser is told to load nothing else. A credential that is typed
 * into it stays in the page's memory until the page is left; requests are shown without one.
 */
export const DOCS = "/docs";
const STYLE = `${DOCS}/swagger-ui.css`;
const BUNDLE = `${DOCS}/swagger-ui-bundle.js`;
const START = `${DOCS}/start.js`;
/** A page in a folder would look for its parts in another place than they are. */
const WITH_SLASH = `${DOCS}/`;
export const DOCS_PATHS: ReadonlySet<string> = new Set([DOCS, WITH_SLASH, STYLE, BUNDLE, START]);

/** Addresses are relative, so that the page also works under a proxy's path. */
const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Sallyport: the API</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="docs/swagger-ui.css">
    <script src="docs/swagger-ui-bundle.js" defer></script>
    <script src="docs/start.js" defer></script>
  </head>
  <body>
    <noscript>This page needs JavaScript. What it shows is in <a href="v1/openapi.json">v1/openapi.json</a>.</noscript>
    <div id="api"></div>
  </body>
</html>
`;

/** `curl` lines are left out: they would show the credential, and teach to put it where every process can read it. */
const SCRIPT = `"use strict";
SwaggerUIBundle({
  url: "v1/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  docExpansion: "none",
  persistAuthorization: false,
  validatorUrl: null,
  plugins: [() => ({ wrapComponents: { curl: () => () => null } })],
});
`;

const HEADERS = {
  // Spelled as the one that it replaces: a browser would heed both.
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
};

/** Reads what is served when it is first asked for, and keeps it: 1.6 MB. */
export class Docs {
  readonly #files = new Map<string, Promise<Buffer>>();

  /** @throws {VaultError} `not_found` where Swagger UI is not installed: run from source without what development needs. */
  async answer(path: string): Promise<Encoded> {
    if (path === WITH_SLASH) return { status: 308, headers: { Location: "../docs" }, body: null, code: null };
    const [type, body] = await this.#content(path);
    return { status: 200, headers: { ...HEADERS, "Content-Type": `${type}; charset=utf-8` }, body, code: null };
  }

  async #content(path: string): Promise<[type: string, body: Buffer]> {
    switch (path) {
      case DOCS:
        return ["text/html", Buffer.from(PAGE)];
      case START:
        return ["text/javascript", Buffer.from(SCRIPT)];
      case STYLE:
        return ["text/css", await this.#file("swagger-ui.css")];
      case BUNDLE:
        return ["text/javascript", await this.#file("swagger-ui-bundle.js")];
      default:
        throw new VaultError("not_found");
    }
  }

  #file(name: string): Promise<Buffer> {
    const known = this.#files.get(name);
    if (known !== undefined) return known;
    const read = readSwagger(name);
    this.#files.set(name, read);
    // What failed once may be there the next time.
    read.catch(() => this.#files.delete(name));
    return read;
  }
}

/** A file of Swagger UI: beside this one where it was built, else from where it is installed for development. */
async function readSwagger(name: string): Promise<Buffer> {
  for (const folder of [() => join(import.meta.dirname, "swagger-ui"), developmentFolder]) {
    try {
      const text = await readFile(join(folder(), name), "utf8");
      // Without the name of a source map, which is not served: a browser's tools would ask for it.
      return Buffer.from(text.replace(/\n?\/[/*]# sourceMappingURL=[^\n]*\n?$/, "\n"));
    } catch (error) {
      // It may well be there. Otherwise the next place, or none.
      if (isOutOfDescriptors(error)) throw error;
    }
  }
  throw new VaultError("not_found");
}

function developmentFolder(): string {
  return dirname(createRequire(import.meta.url).resolve("swagger-ui-dist/package.json"));
}
