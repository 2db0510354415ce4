import { describe, expect, test, vi } from "vitest";
import { openDesk } from "./desk.ts";
import { sallyport, sallyportArgs } from "./harness.ts";
import { HostileServer } from "./hostile-server.ts";

const desk = openDesk();
const { at, builder, write, valueOf, names } = desk;
const run = (argv: string) => sallyport(argv, desk.around);
/** A workload whose manifest refers to `name`, deployed in dev. */
async function used(name: string): Promise<void> {
  await desk.owner.do("workload.create", { params: { namespace: desk.namespace }, body: { name: "etl" } });
  const params = { namespace: desk.namespace, workload: "etl" };
  await desk.owner.do("manifest.save", { params, body: { variables: { X: { secret: name } } } });
  await desk.owner.do("deployment.set", { params: { ...params, environment: "dev" }, body: { version: 1 } });
}

describe("secret copy", () => {
  test("writes the values to another scope in one transaction, and shows none", async () => {
    await write("A", "c4nary-a", { description: "of a" });
    await write("B", "c4nary-b");
    const ran = await run("secret copy A B --to prod --yes");
    expect(ran).toMatchObject({ code: 0, stderr: "" });
    expect(ran.out).toMatch(/^A +A +create +.*\nB +B +create /m);
    expect(ran.out).toContain(`Copied 2 secrets from dev/${desk.namespace} to prod/${desk.namespace}.\n`);
    expect([await valueOf("A", "prod"), await names()]).toEqual(["c4nary-a", ["A", "B"]]);
    expect((await desk.owner.do("secret.get", { params: at("A", "prod") })).description).toBe("of a");
    expect(ran.out).not.toContain("c4nary");
  });

  test("--preview shows what would be done and does nothing; --all is every secret", async () => {
    await write("A", "a");
    await write("B", "b");
    await write("B", "other", {}, "prod");
    const ran = await run(`secret copy --all --to prod/${desk.namespace} --preview`);
    expect(ran.code).toBe(0);
    expect(ran.out).toMatch(
      /^NAME +IN PROD\/NS-\d+ +WHAT +VERSION THERE +USED BY\nA +A +create +- +-\nB +B +taken +1 +-\n$/,
    );
    expect(ran.stderr).toContain("--overwrite");
    expect([await names("prod"), await valueOf("B", "prod")]).toEqual([["B"], "other"]);
  });

  test("of a name that is taken there does nothing at all, unless --overwrite says so", async () => {
    await write("A", "a");
    await write("B", "b");
    await write("B", "other", {}, "prod");
    for (const argv of ["secret copy A B --to prod --yes", "secret copy A B --to prod"]) {
      const ran = await run(argv);
      expect([argv, ran.code, await names("prod")]).toEqual([argv, 6, ["B"]]);
    }
    expect((await run("secret copy A B --to prod --overwrite --yes")).code).toBe(0);
    expect([
      await valueOf("B", "prod"),
      (await desk.owner.do("secret.get", { params: at("B", "prod") })).version,
    ]).toEqual(["b", 2]);
  });

  test("--as gives one another name, in the same scope as well", async () => {
    await write("A", "a");
    expect((await run("secret copy A --as A2 --yes")).code).toBe(0);
    expect((await run("secret copy A --to prod --as A3 --yes")).code).toBe(0);
    expect([await names(), await names("prod"), await valueOf("A2")]).toEqual([["A", "A2"], ["A3"], "a"]);
  });

  test("asks, and where nobody can be asked nothing is done", async () => {
    await write("A", "a");
    const ran = await run("secret copy A --to prod");
    expect([ran.code, await names("prod")]).toEqual([2, []]);
    expect(ran.stderr).toContain(`Copy A from dev/${desk.namespace} to prod/${desk.namespace}?`);
  });

  test.each([
    ["secret copy --to prod", "--all"],
    ["secret copy A --all --to prod", "--all"],
    ["secret copy A", "--to"],
    ["secret copy A A --to prod", "twice"],
    ["secret copy A B --to prod --as C", "--as"],
    ["secret copy --all --to prod --as C", "--as"],
    ["secret copy A --to a/b/c", "scope"],
    ["secret copy A --to PROD", "scope"],
    ["secret copy A --to prod/", "scope"],
    ["secret copy A --to prod --preview --yes", "exclude"],
  ])("`%s` is not asked of the vault", async (argv, said) => {
    const ran = await run(argv);
    expect([ran.code, ran.out]).toEqual([2, ""]);
    expect(ran.stderr).toContain(said);
    expect(desk.tap.seen).toEqual([]);
  });

  test("of what is not there, or may not be written, ends with 5 and 4", async () => {
    await write("A", "a");
    const none = await run("secret copy A NOT --to prod --yes");
    expect([none.code, none.stderr]).toEqual([5, expect.stringMatching(/^ {2}NOT: /m)]);
    expect((await run("secret copy --all --env prod --to dev")).code).toBe(5);
    expect(await names("prod")).toEqual([]);
    const bea = desk.as(await builder());
    expect((await sallyport("secret copy A --to prod --yes", bea)).code).toBe(4);
  });
});

describe("secret move", () => {
  test("renames; the old name can be restored", async () => {
    await write("OLD", "v");
    const ran = await run("secret move OLD --as NEW --yes");
    expect(ran.out).toContain(`Moved OLD to NEW in dev/${desk.namespace}.\n`);
    expect([await names(), await valueOf("NEW")]).toEqual([["NEW"], "v"]);
    expect((await run("secret restore OLD")).code).toBe(0);
  });

  test("of what a workload uses is refused before it asks, with what uses it; --force does it", async () => {
    await write("DB_URL", "v");
    await used("DB_URL");
    const ran = await run("secret move DB_URL --to prod");
    expect(ran.code).toBe(6);
    expect(ran.out).toMatch(/^DB_URL +DB_URL +create +- +ns-\d+\/etl in dev$/m);
    expect(ran.stderr).toContain("--force");
    expect((await run("secret move DB_URL --to prod --yes")).code).toBe(6);
    expect(await names()).toEqual(["DB_URL"]);
    expect((await run("secret move DB_URL --to prod --force --yes")).code).toBe(0);
    expect([await names(), await names("prod")]).toEqual([[], ["DB_URL"]]);
  });
});

describe("secret compare", () => {
  test("marks what is in one scope only, and ends with 1 where there is a difference", async () => {
    await write("A", "1");
    await write("BOTH", "1");
    await write("BOTH", "2", {}, "prod");
    await write("C", "1", {}, "prod");
    const ran = await run("secret compare dev prod");
    expect(ran.code).toBe(1);
    expect(ran.out.replace(/of \d{4}-[^Z]*Z/g, "of T")).toMatch(
      /^ {2,} +NAME +DEV\/NS-\d+ +PROD\/NS-\d+\n< +A +1 of T +-\n +BOTH +1 of T +1 of T\n> +C +- +1 of T\n$/,
    );
    expect(ran.stderr).toBe(
      '2 differences in the names of 3 secrets.\nValues were not compared: --values --reason "…"\n',
    );
  });

  test("--values marks what differs, shows no value, and is recorded with its reason", async () => {
    await write("SAME", "c4nary");
    await write("SAME", "c4nary", {}, "prod");
    await write("OTHER", "c4nary-1");
    await write("OTHER", "c4nary-2", {}, "prod");
    const ran = await sallyportArgs(
      ["secret", "compare", `dev/${desk.namespace}`, `prod/${desk.namespace}`, "--values", "--reason", "release 12"],
      desk.around,
    );
    expect(ran.code).toBe(1);
    expect(ran.out).toMatch(/^! +OTHER/m);
    expect(ran.out).toMatch(/^= +SAME/m);
    expect(ran.stderr).toBe("1 difference in the names and values of 2 secrets.\n");
    expect(ran.out + ran.stderr).not.toContain("c4nary");
    const { items } = await desk.owner.do("audit.list", { query: { limit: "10" } });
    expect(JSON.stringify(items)).toContain("release 12");
  });

  test("ends with 0 where nothing differs, also for programs", async () => {
    await write("A", "1");
    await write("A", "1", {}, "prod");
    expect((await run("secret compare dev prod")).code).toBe(0);
    const ran = await run("secret compare dev prod --values --reason release --json");
    expect([ran.code, JSON.parse(ran.out)]).toMatchObject([
      0,
      { valuesCompared: true, items: [{ name: "A", same: true }] },
    ]);
    await write("A", "2");
    expect((await run("secret compare dev prod --values --reason release --json")).code).toBe(1);
  });

  test.each([
    ["secret compare dev prod --values", "--reason"],
    ["secret compare dev prod --reason why", "--values"],
    ["secret compare dev dev", "one scope"],
    ["secret compare dev prod/a/b", "scope"],
    ["secret compare dev", "other-scope"],
  ])("`%s` is not asked of the vault", async (argv, said) => {
    const ran = await run(argv);
    expect([ran.code, ran.out]).toEqual([2, ""]);
    expect(ran.stderr).toContain(said);
    expect(desk.tap.seen).toEqual([]);
  });

  test("what answers and is no vault is no comparison: never 0", async () => {
    const server = new HostileServer();
    const url = await server.listen();
    for (const body of [{}, { items: null }, { valuesCompared: false }]) {
      server.on("POST /v1/secrets/compare", { body });
      const ran = await sallyport("secret compare dev prod", {
        ...desk.around,
        env: { ...desk.around.env, SALLYPORT_ADDRESS: url },
      });
      expect([ran.code, ran.out]).toEqual([8, ""]);
    }
    await server.close();
  });
});

describe("secret search", () => {
  const found = async (flags: string): Promise<string[]> => {
    const ran = await run(`secret search -n ${desk.namespace} ${flags} --json`);
    expect([flags, ran.code, ran.stderr]).toEqual([flags, 0, ""]);
    return (JSON.parse(ran.out) as { name: string }[]).map(({ name }) => name).sort();
  };

  test("finds by part of the name, prefix, tag, owner, author, environment and age", async () => {
    await write("STRIPE_KEY", "v", { tags: ["pay"], owner: "ops" });
    await write("OLD_STRIPE", "v", {}, "prod");
    await write("DB_URL", "v", { rotateBy: "2020-01-01T00:00:00Z" });
    await write("API_KEY", "v", { rotateBy: new Date(Date.now() + 10 * 86_400_000).toISOString() });
    const all = ["API_KEY", "DB_URL", "OLD_STRIPE", "STRIPE_KEY"];
    for (const [flags, expected] of [
      ["", all],
      ["--contains stripe", ["OLD_STRIPE", "STRIPE_KEY"]],
      ["--contains stripe --env prod", ["OLD_STRIPE"]],
      ["--prefix STRIPE", ["STRIPE_KEY"]],
      ["--tag pay", ["STRIPE_KEY"]],
      ["--tag other", []],
      ["--owner ops", ["STRIPE_KEY"]],
      ["--author owner", all],
      ["--author nobody", []],
      ["--created-after 1h", all],
      ["--created-before 1h", []],
      ["--updated-before 90d", []],
      ["--updated-after 2020-01-01", all],
      ["--used-before 0s", all],
      ["--used-after 2020-01-01T00:00:00Z", []],
      ["--unused-for 90d", []],
      ["--unused-for 0s", all],
      ["--rotate-due", ["DB_URL"]],
      ["--rotate-within 14d", ["API_KEY", "DB_URL"]],
      ["--rotate-within 2d", ["DB_URL"]],
      ["--deleted", []],
    ] as const)
      expect([flags, await found(flags)]).toEqual([flags, expected]);
  });

  test("shows people where, when it was used and when it is due", async () => {
    await write("DB_URL", "v", { rotateBy: "2090-01-01T00:00:00Z", tags: ["db"] });
    const { out } = await run(`secret search -n ${desk.namespace}`);
    expect(out).toMatch(/^ENVIRONMENT +NAMESPACE +NAME +VERSION +UPDATED +BY +LAST USED +ROTATE BY +TAGS +OWNER\n/);
    expect(out).toMatch(/^dev +ns-\d+ +DB_URL +1 .* owner +- +2090-01-01 00:00:00Z +db +-$/m);
    const none = await run("secret search --contains no_such_thing");
    expect([none.code, none.out, none.stderr]).toEqual([0, "", "No secret that you may list is like that.\n"]);
  });

  test.each([
    ["--updated-before soon", "--updated-before"],
    ["--unused-for 2026-01-01", "--unused-for"],
    ["--rotate-within x", "--rotate-within"],
  ])("%s is not asked of the vault", async (flags, said) => {
    const ran = await run(`secret search ${flags}`);
    expect([ran.code, ran.out]).toEqual([2, ""]);
    expect(ran.stderr).toContain(said);
    expect(desk.tap.seen).toEqual([]);
  });
});

describe("secret generate", () => {
  test.each<[string, RegExp]>([
    ["", /^[A-Za-z0-9_-]{43}$/],
    ["--kind hex", /^[0-9a-f]{64}$/],
    ["--kind hex --length 16", /^[0-9a-f]{32}$/],
    ["--kind base64url --length 64", /^[A-Za-z0-9_-]{86}$/],
    ["--kind alnum", /^[A-Za-z0-9]{32}$/],
    ["--kind alnum --length 40", /^[A-Za-z0-9]{40}$/],
    ["--kind passphrase", /^[a-z]+(?:-[a-z]+){7}$/],
    ["--kind passphrase --length 10", /^[a-z]+(?:-[a-z]+){9}$/],
  ])("`%s` writes a value of that form, and shows none", async (flags, form) => {
    const ran = await run(`secret generate KEY ${flags} --description made`);
    expect(ran).toMatchObject({
      code: 0,
      stderr: "",
      out: `dev/${desk.namespace}/KEY was created with a random value; it is at version 1.\n`,
    });
    const value = await valueOf("KEY");
    expect(value).toMatch(form);
    const again = await run(`secret generate KEY ${flags} --if-version 1 --json`);
    expect(again.code).toBe(0);
    expect(again.out).not.toContain(await valueOf("KEY"));
    expect(await valueOf("KEY")).not.toBe(value);
  });

  test("only if there is none, or only at a version", async () => {
    expect((await run("secret generate KEY --create")).code).toBe(0);
    expect((await run("secret generate KEY --create")).code).toBe(6);
    expect((await run("secret generate KEY --if-version 2")).code).toBe(6);
    expect((await run("secret generate KEY --create --if-version 1")).code).toBe(2);
    expect((await run("secret generate KEY --kind uuid")).code).toBe(2);
    const much = await run("secret generate KEY --length 5000");
    expect([much.code, much.stderr]).toEqual([7, expect.stringMatching(/^ {2}--length: /m)]);
  });
});

describe("What uses a secret", () => {
  test("`secret uses` shows workloads, launches and the last use", async () => {
    await write("PROD", "v", {}, "prod");
    const none = await run("secret uses PROD --env prod");
    expect([none.code, none.out]).toEqual([
      0,
      "No workload refers to it.\nlaunches that hold it now:  0\nlast used:                  never\n",
    ]);
    await write("DB_URL", "v");
    await used("DB_URL");
    expect((await run("secret show DB_URL")).out).toMatch(/^last used: +never$/m);
    expect((await run(`run --workload ${desk.namespace}/etl -- true`)).code).toBe(0);
    // The last use is kept when there is time, and not with the exchange.
    await vi.waitFor(async () => expect((await run("secret show DB_URL")).out).toContain("etl in dev"), {
      timeout: 30_000,
    });
    const ran = await run("secret uses DB_URL");
    expect(ran.out).toMatch(/^WORKLOAD +ENVIRONMENT +VARIABLES +PINNED +MANIFEST +DEPLOYED +TAKES\n/);
    expect(ran.out).toMatch(/^ns-\d+\/etl +dev +X +- +1 +yes +it by name$/m);
    expect(ran.out).toMatch(/^ns-\d+\/default +dev +DB_URL +- +1 +yes +all of the scope$/m);
    expect(ran.out).toMatch(/^last used: +\d{4}-.*Z by ns-\d+\/etl in dev$/m);
    expect((await run("secret show DB_URL")).out).toMatch(/^last used: +\d{4}-.*Z by ns-\d+\/etl in dev$/m);
    expect((await run("secret list")).out).toMatch(/^DB_URL +1 .* \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ +-$/m);
    expect((await run("secret uses NOT")).code).toBe(5);
  });

  test("`secret delete` says it and asks; with --yes it is said all the same", async () => {
    await write("DB_URL", "v");
    await used("DB_URL");
    const said = `warning: DB_URL is used by ${desk.namespace}/etl in dev (X)\n`;
    const ran = await run("secret delete DB_URL");
    expect([ran.code, ran.out, await names()]).toEqual([2, "", ["DB_URL"]]);
    expect(ran.stderr).toContain(
      `${said}sallyport: Delete DB_URL? It can be restored for 30 days. There is no terminal`,
    );
    expect(await run("secret delete DB_URL --yes")).toMatchObject({ code: 0, stderr: said });
    expect([await names(), (await run("secret delete NOT")).code]).toEqual([[], 5]);
  });

  test("`secret delete` asks nothing where only what takes all of the scope would miss it", async () => {
    await write("LONELY", "v");
    const ran = await run("secret delete LONELY");
    expect([ran.code, ran.stderr, await names()]).toEqual([0, "", []]);
  });

  test("`secret destroy` says it before it asks", async () => {
    await write("DB_URL", "v");
    await write("DB_URL", "v2");
    await used("DB_URL");
    const said = `warning: DB_URL is used by ${desk.namespace}/etl in dev (X)\n`;
    const asked = await run("secret destroy DB_URL 1");
    expect([asked.code, asked.stderr]).toEqual([
      2,
      expect.stringContaining(`${said}sallyport: Destroy version 1 of DB_URL?`),
    ]);
    expect(await run("secret destroy DB_URL 1 --yes")).toMatchObject({ code: 0, stderr: said, out: "Destroyed.\n" });
    expect((await run("secret delete DB_URL --yes")).code).toBe(0);
    expect(await run("secret destroy DB_URL --yes")).toMatchObject({ code: 0, out: "Destroyed.\n" });
  });
});
