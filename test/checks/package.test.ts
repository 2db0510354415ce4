import { execFileSync, spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cleanEnv } from "../harness.ts";

const ROOT = resolve(import.meta.dirname, "../..");

interface Manifest {
  readonly bin: Record<string, string>;
  readonly exports: Record<string, unknown>;
  readonly imports: Record<string, Record<string, string>>;
  readonly os: readonly string[];
  readonly dependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
  readonly optionalDependencies: Record<string, string>;
}

/** The package as `npm pack` makes it of what is built, unpacked in an empty folder. */
describe("The package", () => {
  let folder: string;
  let inside: string;
  let files: readonly string[];
  let manifest: Manifest;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "sallyport-package-"));
    inside = join(folder, "node_modules/sallyport");
    mkdirSync(inside, { recursive: true });
    // The tests build before they begin, and other tests use what was built: it is packed as it is.
    const options = { cwd: ROOT, encoding: "utf8" } as const;
    execFileSync("npm", ["pack", "--ignore-scripts", "--silent", "--pack-destination", folder], options);
    const [tarball = ""] = readdirSync(folder).filter((name) => name.endsWith(".tgz"));
    execFileSync("tar", ["xzf", join(folder, tarball), "-C", inside, "--strip-components", "1"]);
    files = readdirSync(inside, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(inside.length + 1));
    manifest = JSON.parse(readFileSync(join(inside, "package.json"), "utf8")) as Manifest;
  }, 120_000);
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  const read = (name: string) => readFileSync(join(inside, name), "utf8");
  /** Packages that it depends on, from where this checkout has them. */
  const lend = (...names: readonly string[]) => {
    for (const name of names) {
      const to = join(folder, "node_modules", name);
      mkdirSync(dirname(to), { recursive: true });
      if (!existsSync(to)) symlinkSync(join(ROOT, "node_modules", name), to);
    }
  };

  test("holds what was built, its papers, and nothing else", () => {
    for (const name of [
      "LICENSE",
      "README.md",
      "CHANGELOG.md",
      "SECURITY.md",
      "dist/main.js",
      "dist/client/index.d.ts",
    ])
      expect(files).toContain(name);
    const other = files.filter(
      (name) =>
        !/^dist\/.*\.(js|d\.ts)$/.test(name) &&
        !/^(src\/\w+|keys)\/README\.md$/.test(name) &&
        !/^dist\/http\/swagger-ui\/(LICENSE|NOTICE|swagger-ui\.css|swagger-ui-bundle\.js\.LICENSE\.txt)$/.test(name) &&
        !["LICENSE", "README.md", "CHANGELOG.md", "SECURITY.md", "package.json"].includes(name),
    );
    expect(other).toEqual([]);
  });

  test("holds no path of the machine that it was made on, and no name of a source map that is not there", () => {
    const places = [ROOT, homedir(), tmpdir()].filter((place) => place.length > 1).map((place) => `${place}/`);
    const told = files.filter((name) => {
      // /tmp and a home folder may stand in a document's example; this checkout's folder may stand nowhere.
      const text = read(name);
      return name.endsWith(".md") ? text.includes(`${ROOT}/`) : places.some((place) => text.includes(place));
    });
    expect(told).toEqual([]);
    const mapped = files.filter((name) => /^\/\/# sourceMappingURL=/m.test(read(name)));
    expect([mapped, files.filter((name) => name.endsWith(".map"))]).toEqual([[], []]);
  });

  test("says where it runs, and what of it can be imported", () => {
    expect(manifest.os).toEqual(["linux", "darwin"]);
    expect(Object.keys(manifest.exports)).toEqual(["./client", "./package.json"]);
    expect(files).toContain(manifest.bin.sallyport);
    for (const [room, conditions] of Object.entries(manifest.imports)) {
      // Others set `source` for all of their packages, and the source is not in this one.
      expect([room, Object.keys(conditions)]).toEqual([room, ["sallyport-source", "default"]]);
    }
  });

  test("imports only packages that it depends on", () => {
    const known = new Set([...Object.keys(manifest.dependencies), ...Object.keys(manifest.optionalDependencies)]);
    const imported = files
      .filter((name) => name.endsWith(".js") && !name.includes("swagger-ui"))
      .flatMap((name) => [...read(name).matchAll(/^(?:import|export)[^"']*?from "([^"]+)"|import\("([^"]+)"\)/gm)])
      .map(([, a, b]) => a ?? b ?? "")
      .filter((target) => !/^(\.|#|node:)/.test(target))
      .map((target) =>
        target
          .split("/")
          .slice(0, target.startsWith("@") ? 2 : 1)
          .join("/"),
      );
    expect(new Set(imported).size).toBeGreaterThan(5);
    expect([...new Set(imported)].filter((name) => !known.has(name))).toEqual([]);
  });

  test("has no link in its papers that leads nowhere", () => {
    const broken = files
      .filter((name) => name.endsWith(".md"))
      .flatMap((name) =>
        [...read(name).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
          .map(([, target = ""]) => target)
          .filter((target) => !target.startsWith("https://") && !existsSync(join(inside, dirname(name), target)))
          .map((target) => `${name}: ${target}`),
      );
    expect(broken).toEqual([]);
  });

  test("runs by itself from where it was unpacked, with the packages that it depends on and no other", () => {
    lend(
      ...Object.keys(manifest.dependencies),
      ...Object.keys(manifest.optionalDependencies).filter((name) => existsSync(join(ROOT, "node_modules", name))),
    );
    const ran = spawnSync(process.execPath, [join(inside, "dist/main.js"), "--version"], {
      encoding: "utf8",
      env: cleanEnv(),
    });
    expect(ran).toMatchObject({ status: 0, stderr: "" });
    expect(ran.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test.each([
    ["nodenext", "nodenext"],
    ["esnext", "bundler"],
  ])(
    "type-checks in a program of others (module %s, resolution %s), without skipLibCheck",
    (module, moduleResolution) => {
      lend("zod", "@types/node", "undici-types");
      writeFileSync(join(folder, "package.json"), '{ "type": "module", "private": true }');
      writeFileSync(join(folder, "use.ts"), USE);
      const options = {
        target: "es2022",
        lib: ["es2022", "esnext.disposable"],
        types: ["node"],
        strict: true,
        skipLibCheck: false,
      };
      writeFileSync(
        join(folder, "tsconfig.json"),
        JSON.stringify({
          compilerOptions: { ...options, module, moduleResolution, noEmit: true, exactOptionalPropertyTypes: true },
          files: ["use.ts"],
        }),
      );
      const compiler = join(ROOT, "node_modules/typescript-7/bin/tsc");
      const { status, stdout } = spawnSync(process.execPath, [compiler, "-p", folder], { encoding: "utf8" });
      expect([status, stdout]).toEqual([0, ""]);
    },
    120_000,
  );

  test("is required by a program of the other kind of modules", () => {
    const code = `console.log(Object.keys(require("sallyport/client").Sallyport).join());`;
    const ran = spawnSync(process.execPath, ["-e", code], { cwd: folder, encoding: "utf8", env: cleanEnv() });
    expect([ran.status, ran.stdout]).toEqual([0, "connect,launch\n"]);
    const closed = spawnSync(process.execPath, ["-e", `require("sallyport/dist/main.js")`], {
      cwd: folder,
      encoding: "utf8",
    });
    expect(closed.stderr).toContain("ERR_PACKAGE_PATH_NOT_EXPORTED");
  });

  test("says what to do where the database driver's install script was blocked", () => {
    const driver =
      Number(process.versions.napi) >= 10 && existsSync(join(ROOT, "node_modules/better-sqlite3-13"))
        ? "better-sqlite3-13"
        : "better-sqlite3";
    lend(...Object.keys(manifest.dependencies));
    const to = join(folder, "node_modules", driver);
    rmSync(to, { force: true });
    cpSync(join(ROOT, "node_modules", driver), to, { recursive: true, filter: (name) => !name.endsWith(".node") });
    const empty = mkdtempSync(join(folder, "empty-"));
    const ran = spawnSync(process.execPath, [join(inside, "dist/main.js"), "up", "--listen", "127.0.0.1:0"], {
      cwd: empty,
      encoding: "utf8",
      env: cleanEnv(),
      timeout: 60_000,
    });
    expect(ran.status).toBe(28);
    expect(ran.stderr).toContain(`npm rebuild ${driver}`);
    expect(ran.stderr).toContain("allowScripts");
  }, 120_000);
});

const USE = `import { Sallyport, SallyportError } from "sallyport/client";
import type { ClientCode, Launch, Response } from "sallyport/client";

await using vault: Launch = await Sallyport.launch({ workload: "etl", environment: "prod" });
export const url: string = vault.secret("DB_URL");
export const bytes: Uint8Array = vault.secretBytes("KEY");
export const env: Record<string, string> = vault.env();
vault.apply(process.env);

const client = Sallyport.connect({ address: "https://vault.example.com", credentialFile: "token" });
const answer = await client.call("secret.list", { params: { environment: "dev", namespace: "default" }, query: { limit: 5 } });
export const name: string | undefined = answer.items[0]?.name;
export const me: Response<"whoami.get"> = await client.call("whoami.get", {});
try {
  await client.call("session.end", {});
} catch (error) {
  if (error instanceof SallyportError && error.code === "token_invalid") console.log(error.remedy, error.status);
}
// @ts-expect-error there is no such operation
await client.call("secret.steal", {});
// @ts-expect-error its parameters are missing
await client.call("secret.list", {});
// @ts-expect-error metadata has no value
answer.items[0]?.value;
// @ts-expect-error there is no such code
export const code: ClientCode = "nonsense";
`;
