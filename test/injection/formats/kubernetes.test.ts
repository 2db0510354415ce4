import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { Redacted } from "#base";
import { encodeText, encodeValue } from "#injection";
import { SETS, carriedOf, expectSame, fewValues, isHere, itWith, manyValues, naughty, written } from "./carried.ts";
import type { Values } from "./carried.ts";

interface Secret {
  readonly apiVersion: string;
  readonly kind: string;
  readonly type: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly data?: Readonly<Record<string, string>>;
}

const anything = () => true;

function dataOf({ data }: Secret): Map<string, Buffer> {
  return new Map(Object.entries(data ?? {}).map(([name, value]) => [name, Buffer.from(value, "base64")]));
}

describe("The kubernetes format", () => {
  it.each(["1.1", "1.2"] as const)(
    `read as YAML %s holds exactly the bytes, whatever they are: ${String(SETS)} sets and the naughty ones`,
    (version) => {
      const check = (values: Values) => {
        const { body } = carriedOf("kubernetes", values, anything);
        const secret = parse(body.toString(), { version }) as Secret;
        expect(secret).toMatchObject({ apiVersion: "v1", kind: "Secret", type: "Opaque", metadata: { name: "etl" } });
        expectSame(dataOf(secret), values);
      };
      fc.assert(fc.property(fewValues, check), { numRuns: SETS });
      check(naughty);
      check(new Map(["NO", "Y", "null", "on"].map((name) => [name, Buffer.from([0, 255])])));
      check(new Map());
    },
  );

  itWith(
    isHere("kubectl", "version", "--client"),
    "kubectl",
    "is a Secret to kubectl, with exactly the bytes: 2,000 variables and the naughty ones",
    () => {
      const [many = new Map<string, Buffer>()] = fc.sample(manyValues(2_000), 1);
      for (const values of [new Map([...many, ...naughty]), new Map<string, Buffer>()]) {
        const { body } = carriedOf("kubernetes", values, anything);
        const out = execFileSync("kubectl", ["annotate", "--local", "-f", "-", "read=yes", "-o", "json"], {
          input: body,
          env: { PATH: process.env.PATH ?? "", HOME: "/nonexistent" },
          maxBuffer: 256 * 1024 * 1024,
        });
        const secret = JSON.parse(out.toString()) as Secret;
        expect(secret).toMatchObject({ kind: "Secret", metadata: { name: "etl", annotations: { read: "yes" } } });
        expectSame(dataOf(secret), values);
      }
    },
  );

  it("says where it belongs, if that is said", () => {
    const { body } = encodeText("kubernetes", new Map([["A", new Redacted(Buffer.from("b"))]]), {
      name: "a.b",
      namespace: "jobs",
    });
    expect((parse(body.toString()) as Secret).metadata).toEqual({ name: "a.b", namespace: "jobs" });
  });

  it("refuses, by name, what is more than a Secret can hold", () => {
    const part = Buffer.alloc(65_536);
    const full = new Map(Array.from({ length: 16 }, (_, at) => [`V${String(at)}`, part] as const));
    expect("body" in written("kubernetes", full)).toBe(true);
    const answer = written("kubernetes", new Map([...full, ["EMPTY", Buffer.alloc(0)], ["MORE", Buffer.from("x")]]));
    expect("refused" in answer && [...answer.refused.keys()]).toEqual(["MORE"]);
  });
});

describe("The JSON format", () => {
  it(`gives back any bytes, as text where they are UTF-8, else in base64: ${String(SETS)} sets and the naughty ones`, () => {
    const check = (values: Values) => {
      for (const value of values.values()) {
        const read = JSON.parse(JSON.stringify(encodeValue(new Redacted(value)))) as {
          value: string;
          encoding: BufferEncoding;
        };
        expect(Buffer.from(read.value, read.encoding).equals(value)).toBe(true);
        expect(["utf8", "base64"]).toContain(read.encoding);
      }
    };
    fc.assert(fc.property(fewValues, check), { numRuns: SETS });
    check(naughty);
  });
});
