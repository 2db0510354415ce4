import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { describe, expect, test } from "vitest";
import { ID_PREFIXES, makeId } from "#base";
import { CATALOG, loadOpenApi, loadWire } from "#contract";
import type { OperationId, Wire } from "#contract";
import { checkPassword, generateValue } from "#crypto";
import { z } from "zod";

/** Read as a client reads it: what it holds is asserted, not typed. */
type Json = ReturnType<typeof JSON.parse>;
const document: Json = JSON.parse(JSON.stringify(await loadOpenApi("1.2.3")));
const wire = await loadWire();
const ajv = new Ajv2020({ strict: false, logger: false });
formats.default(ajv);

/** Texts at and around every rule that a field may have. */
const TEXTS: readonly string[] = [
  ...[
    "",
    " ",
    "a",
    "A",
    "0",
    "_a",
    "-a",
    "a-",
    "a_b-c",
    "a.b",
    "a b",
    "ab\n",
    "\na",
    "é",
    "self",
    "instance",
    "selfish",
  ],
  ...[
    "Self",
    "__proto__",
    "constructor",
    "toString",
    "default",
    "latest",
    "owner",
    "admin",
    "viewer",
    "nobody",
    "true",
  ],
  ...["DB_URL", "9DB", "default/DB_URL", "prod/default/DB_URL", "a/b/c/D", "/DB_URL", "DB_URL@1", "DB_URL@0", "DB@12x"],
  ...[
    "default/etl",
    "default/",
    "/etl",
    "a/b/c",
    "ada@example.com",
    "a@b@c",
    "a+b.c",
    ".a",
    "@",
    "a@",
    "${DB_URL}",
    "$",
  ],
  ...[
    62, 63, 64, 65, 100, 101, 127, 128, 129, 199, 200, 201, 252, 253, 254, 299, 300, 301, 499, 500, 501, 512, 513,
  ].map((length) => "a".repeat(length)),
  ...[11, 12, 13, 63, 64, 100, 128, 200, 500, 501, 1024, 1025].map((length) => "\u{1f511}".repeat(length)),
  ...[1_023, 1_024, 1_025, 16_384, 16_385, 65_536, 87_384, 87_385].map((length) => "a".repeat(length)),
  ...["A".repeat(128), "A".repeat(129), "ab", "abc", "  a", "a  ", " a b ", "   ", "\u3000\u3000a", "\ufeffab"],
  ...[
    "\0",
    "a\0b",
    "\t",
    "\r\n",
    "\x1b[31m",
    "\x7f",
    "\x85",
    "\u2028",
    "\u2029",
    "\u202e",
    "\u2066",
    "\u200b",
    "\ufeff",
  ],
  ...["\u{e0001}", "a\u0301", "١", "𝟙", "ａ"],
  ...[
    "1",
    "01",
    "10",
    "100",
    "999",
    "1000",
    "1001",
    "9999",
    "10000",
    "-1",
    "+1",
    "1.0",
    "1e2",
    "0x1",
    " 1",
    "1 ",
    "1_0",
  ],
  ...["2147483647", "2147483648", "9999999999", "99999999999"],
  ...["2030-01-01T00:00:00Z", "2030-01-01T00:00:00.5Z", "2030-01-01T00:00:00+14:00", "2030-01-01T00:00:00-23:59"],
  ...["2030-01-01T00:00Z", "2030-01-01", "2030-01-01 00:00:00Z", "2030-01-01t00:00:00z", "2030-01-01T00:00:00"],
  ...["2030-02-29T00:00:00Z", "2028-02-29T00:00:00Z", "2030-13-01T00:00:00Z", "2030-01-01T24:00:00Z"],
  ...["2030-12-31T23:59:60Z", "2030-01-01T00:00:00+24:00", "2030-01-01T00:00:00+1400", "2030-01-01T00:00:00,5Z"],
  ...["2030-01-01T00:00:00.123456789Z", "2030-01-01T00:00:00.1234567890Z", "2030-01-01T00:00:00.Z"],
  ...["1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "8999-12-31T23:59:59Z", "9000-01-01T00:00:00Z"],
  ...["0000-01-01T00:00:00Z", "+012030-01-01T00:00:00Z", "2030-01-01T00:00:00Z\n"],
  ...["10.0.0.0", "10.0.0.0/8", "10.0.0.0/33", "10.0.0.0/08", "256.0.0.1", "1.2.3", "010.0.0.1", "10.0.0.1/", "::"],
  ...[
    "::1",
    "::/0",
    "::1/128",
    "::1/129",
    "fe80::1%eth0",
    "[::1]",
    "1::2::3",
    "::ffff:10.0.0.1",
    "2001:DB8::/32",
    "1:2:3:4:5:6:7:8",
  ],
  ...["QQ==", "QR==", "QQ=", "QUI=", "QUJD", "QU-_", "QUJD\n", "=", "===="],
  ...Object.values(ID_PREFIXES).flatMap((prefix) => {
    const id = makeId(prefix, 1_700_000_000_000, Buffer.alloc(10, 7));
    return [id, id.toUpperCase(), id.slice(0, -1), `${id}0`, id.replace("_0", "_8"), id.replace("_0", "_i"), `${id}\n`];
  }),
  ...[JSON.stringify([]), Buffer.from("[1]").toString("base64url"), '"1"', "*", 'W/"1"'],
];
const VALUES: readonly unknown[] = [
  ...TEXTS,
  ...[null, true, false, 0, 1, -1, 1.5, 7, 15, 16, 21, 22, 255, 256, 900, 901, 1_000, 1_001, 1_024, 1_025],
  ...[2_147_483_647, 2_147_483_648, Number.MAX_SAFE_INTEGER, 2 ** 53, 1e300],
  ...[
    [],
    {},
    [null],
    [[]],
    ["a"],
    ["A"],
    ["self"],
    ["a", "a"],
    ["A", "A"],
    ["10.0.0.0/8"],
    ["default/etl"],
    ["viewer"],
    [1],
    [0],
  ],
  ...[20, 21, 50, 51, 100, 101, 500, 501].flatMap((n) => [
    Array.from({ length: n }, () => "a"),
    Array.from({ length: n }, (_, at) => `A${String(at)}`),
    Array.from({ length: n }, () => "10.0.0.1"),
    Array.from({ length: n }, (_, at) => at + 1),
    Object.fromEntries(Array.from({ length: n }, (_, at) => [`A${String(at)}`, { value: "" }])),
  ]),
  ...[{ A: "B" }, { A: { secret: "B" } }, { A: { value: "\0" } }, { A: { template: "${B}" } }, { "9": { value: "" } }],
  ...[{ A: { value: "a", required: true } }, { A: { secret: "B", value: "a" } }, { ["__proto__x"]: { value: "" } }],
  ...[
    { environment: "prod", namespace: "default" },
    { environment: "self", namespace: "default" },
    { environment: "prod" },
  ],
];

/** What the parameter's text is to the document: a number where it is one. */
function asSaid(schema: Json, text: string): unknown {
  return schema.type === "integer" && /^[1-9][0-9]*$/.test(text) ? Number(text) : text;
}

/** Where document and server differ on a value, in a few words. */
function differences(
  field: string,
  schema: Json,
  type: z.ZodType,
  values: readonly unknown[],
  isText: boolean,
): string[] {
  const check = ajv.compile(schema);
  return values.flatMap((value) => {
    const said = check(isText && typeof value === "string" ? asSaid(schema, value) : value);
    // How long a password is at least is looked at where it is hashed.
    const weak = schema.minLength === 12 && typeof value === "string" && checkPassword(value) !== null;
    const done = type.safeParse(value).success && !weak;
    if (said === done) return [];
    const shown = JSON.stringify(value).slice(0, 60);
    return [`${field}: ${shown} is ${said ? "valid" : "invalid"} in the document, and ${done ? "taken" : "refused"}`];
  });
}

function fieldsOf(type: z.ZodType | undefined): [string, z.ZodType][] {
  return type instanceof z.ZodObject ? (Object.entries(type.shape) as [string, z.ZodType][]) : [];
}

describe("The OpenAPI document says of a field what the server does:", () => {
  test.each(Object.keys(CATALOG) as OperationId[])("%s", (id) => {
    const { path, method } = CATALOG[id];
    const described = document.paths[path][method.toLowerCase()];
    const { params, query, body }: Wire = wire[id];
    const found: string[] = [];
    for (const [where, type] of [
      ["path", params],
      ["query", query],
    ] as const) {
      for (const [name, field] of fieldsOf(type)) {
        const parameter = described.parameters.find((one: Json) => one.in === where && one.name === name);
        expect(parameter, `${where} ${name}`).toBeDefined();
        expect(parameter.required ?? false).toBe(!field.safeParse(undefined).success);
        found.push(...differences(name, parameter.schema, field, TEXTS, true));
      }
    }
    const schema = described.requestBody?.content["application/json"].schema;
    for (const [name, field] of fieldsOf(body)) {
      expect(schema.properties).toHaveProperty(name);
      expect(schema.required?.includes(name) ?? false).toBe(!field.safeParse(undefined).success);
      found.push(...differences(name, schema.properties[name], field, VALUES, false));
    }
    expect(found).toEqual([]);
  });

  const WHOLE: readonly (readonly [id: OperationId, taken: boolean, body: unknown])[] = [
    ["secret.write", true, { value: "" }],
    ["secret.write", true, { value: "not base64" }],
    ["secret.write", true, { value: "QQ==", encoding: "base64" }],
    ["secret.write", true, { value: "", encoding: "base64" }],
    ["secret.write", true, { value: "QUI=", encoding: "base64" }],
    ["secret.write", false, { value: "QR==", encoding: "base64" }],
    ["secret.write", false, { value: "QUJ=", encoding: "base64" }],
    ["secret.write", false, { value: "QQ", encoding: "base64" }],
    ["secret.write", false, { value: "QQ==\n", encoding: "base64" }],
    ["secret.write", false, { value: "QU-_", encoding: "base64" }],
    ["secret.write", false, { value: "a", encoding: "hex" }],
    ["secret.write", false, { value: "a", more: 1 }],
    ["secret.write", false, {}],
    ["secret.bulk", true, { secrets: [{ name: "A", value: "QQ==", encoding: "base64" }, { name: "B" }] }],
    ["secret.bulk", false, { secrets: [{ name: "A", value: "QQ", encoding: "base64" }] }],
    ["secret.bulk", false, { secrets: [{ name: "A" }, { name: "A" }] }],
    ["secret.bulk", false, { secrets: [] }],
    ["secret.copy", false, { from: at("a"), to: at("b"), names: ["A", "A"] }],
    ["secret.copy", true, { from: at("a"), to: at("b"), names: ["A", "B"], rename: { A: "C" } }],
    ["secret.copy", false, { from: at("a"), to: at("b"), rename: { A: "9" } }],
    ["secret.compare", true, { from: at("a"), to: at("b") }],
    ["secret.compare", true, { from: at("a"), to: at("b"), values: false }],
    ["secret.compare", true, { from: at("a"), to: at("b"), values: true, reason: "because" }],
    ["secret.compare", false, { from: at("a"), to: at("b"), values: true }],
    ["manifest.save", true, { all: true }],
    ["manifest.save", false, { all: false }],
    ["manifest.save", false, { all: true, variables: {} }],
    ["manifest.save", true, { variables: {} }],
    ["manifest.save", true, { variables: { A: { secret: "B" }, C: { template: "x${B}" } }, note: "why" }],
    ["manifest.save", false, { variables: { A: { secret: "b c" } } }],
    ["manifest.save", false, { variables: { "A B": { value: "" } } }],
    ["manifest.save", false, { variables: { A: { value: "", required: true } } }],
    ["secret.policy", true, null],
    ["secret.policy", true, { workloads: ["default/etl"], roles: ["owner", "service"] }],
    ["secret.policy", false, { workloads: ["etl"] }],
    ["secret.policy", false, { roles: ["member"] }],
  ];
  test.each(WHOLE)("the body of %s, taken: %s: %j", (id, taken, body) => {
    const { path, method } = CATALOG[id];
    const schema = document.paths[path][method.toLowerCase()].requestBody.content["application/json"].schema;
    const { body: type }: Wire = wire[id];
    expect(type?.safeParse(body).success).toBe(taken);
    expect(ajv.compile(schema)(body)).toBe(taken);
  });

  test.each(["hex", "base64url", "alnum", "passphrase"] as const)(
    "how long a generated %s is at least",
    async (kind) => {
      const { path } = CATALOG["secret.generate"];
      const check = ajv.compile(document.paths[path].post.requestBody.content["application/json"].schema);
      const least = Array.from({ length: 40 }, (_, at) => at + 1).find((length) => check({ kind, length })) ?? 0;
      expect(least).toBeGreaterThan(5);
      await expect(generateValue(kind, least - 1)).rejects.toMatchObject({ code: "invalid_input" });
      expect((await generateValue(kind, least)).reveal().length).toBeGreaterThan(5);
    },
  );
});

describe("Text is counted in characters:", () => {
  test.each([
    ["500 of four bytes are a description", "\u{1f511}".repeat(500), true],
    ["501 are none", "\u{1f511}".repeat(501), false],
    ["501 letters are none", "a".repeat(501), false],
  ])("%s", (_name, description, taken) => {
    expect(wire["environment.update"].body.safeParse({ description }).success).toBe(taken);
  });
});

function at(environment: string) {
  return { environment, namespace: "default" };
}
