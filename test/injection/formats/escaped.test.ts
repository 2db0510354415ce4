import { execFileSync, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse as parseProperties } from "dot-properties";
import fc from "fast-check";
import hcl from "hcl2-parser";
import { parse as parseToml } from "smol-toml";
import { describe, expect, it } from "vitest";
import { parse as parseYaml } from "yaml";
import {
  SETS,
  carriedOf,
  expectSame,
  fewValues,
  isHere,
  isUtf8,
  itWith,
  manyValues,
  naughty,
  readersFolder,
  textsOf,
  written,
} from "./carried.ts";
import type { Values } from "./carried.ts";

const folder = readersFolder();

const text = (_: string, value: Buffer) => isUtf8(value);
const normal = (_: string, value: Buffer) => isUtf8(value) && value.toString() === value.toString().normalize("NFC");

const READERS = [
  ["yaml", "yaml, with the schema of YAML 1.2", text, (body: string) => textsOf(parseYaml(body) as object)],
  [
    "yaml",
    "yaml, with the schema of YAML 1.1",
    text,
    (body: string) => textsOf(parseYaml(body, { version: "1.1" }) as object),
  ],
  ["toml", "smol-toml", text, (body: string) => textsOf(parseToml(body))],
  ["properties", "dot-properties", text, (body: string) => textsOf(parseProperties(body))],
  ["tfvars", "hcl2-parser", normal, (body: string) => textsOf(attributesOf(body))],
] as const;

describe("A format with escapes", () => {
  it.each(READERS)(
    `%s, read by %s, gives back exactly the text: ${String(SETS)} sets and the naughty ones`,
    { timeout: 300_000 },
    (format, _, carries, read) => {
      let count = 0;
      const check = (values: Values) => {
        const { body, kept } = carriedOf(format, values, carries);
        // Whatever it is read as: one byte a character.
        expect(/^[\n -~]*$/.test(body.toString("latin1"))).toBe(true);
        expectSame(read(body.toString()), kept);
        count += kept.size;
      };
      fc.assert(fc.property(fewValues, check), { numRuns: SETS });
      check(naughty);
      expect(count).toBeGreaterThan(SETS);
    },
  );

  it.each(["yaml", "toml", "properties", "tfvars"] as const)("%s of no variables is an empty document", (format) => {
    const answer = written(format, new Map());
    expect("body" in answer && answer.body.toString()).toBe(format === "yaml" ? "{}\n" : "");
  });

  it.each(["yaml", "toml", "properties", "tfvars"] as const)("%s refuses by name what is not text", (format) => {
    const answer = written(
      format,
      new Map([
        ["GOOD", Buffer.from("x\0")],
        ["BINARY", Buffer.from([0xff])],
      ]),
    );
    expect("refused" in answer && [...answer.refused]).toEqual([["BINARY", "its value is not UTF-8 text"]]);
  });

  it("yaml quotes names as well: NO and Y are no truth values in YAML 1.1", () => {
    const { body, kept } = carriedOf(
      "yaml",
      new Map(["NO", "Y", "null", "y", "on"].map((name) => [name, Buffer.from("x")])),
      text,
    );
    expectSame(textsOf(parseYaml(body.toString(), { version: "1.1" }) as object), kept);
  });

  it("tfvars refuses what Terraform would change, and names that no variable of it can have", () => {
    const names = ["source", "version", "providers", "count", "for_each", "lifecycle", "depends_on", "locals"];
    const values = [...names, "true", "null", "for"].map((name) => [name, Buffer.from("x")] as const);
    const answer = written("tfvars", new Map([...values, ["ACCENT", Buffer.from("e\u0301")]]));
    expect("refused" in answer && [...answer.refused.keys()]).toEqual([...names, "ACCENT"]);
  });
});

describe("Programs that read them give back exactly the text:", () => {
  itWith(
    isHere("python3", "-c", "import yaml"),
    "PyYAML",
    "yaml, read by PyYAML (YAML 1.1): 2,000 variables and the naughty ones",
    () => {
      expectMany("yaml", text, (file) => {
        const script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1], 'rb'))))";
        return JSON.parse(execFileSync("python3", ["-c", script, file], BIG).toString()) as object;
      });
    },
  );

  itWith(
    isHere("java", "-version"),
    "Java",
    "properties, read by java.util.Properties: 2,000 variables and the naughty ones",
    () => {
      const source = join(folder, "Read.java");
      writeFileSync(source, JAVA);
      expectMany("properties", text, (file) => {
        const lines = execFileSync("java", [source, file], BIG).toString().trim().split("\n");
        return Object.fromEntries(
          lines.map((line) => line.split(" ")).map(([name = "", units = ""]) => [name, unitsOf(units)]),
        );
      });
    },
  );

  itWith(
    isHere("terraform", "version"),
    "Terraform",
    "tfvars, read by Terraform: 2,000 variables and the naughty ones",
    () => {
      expectMany("tfvars", normal, (file, names) => {
        writeFileSync(join(folder, "main.tf"), names.map((name) => `variable "${name}" {}\n`).join(""));
        const env = {
          PATH: process.env.PATH ?? "",
          HOME: folder,
          TF_CLI_CONFIG_FILE: "/dev/null",
          CHECKPOINT_DISABLE: "1",
        };
        const input = `base64encode(jsonencode([${names.map((name) => `var.${name}`).join(",")}]))\n`;
        const ran = spawnSync("terraform", ["console", `-var-file=${file}`], { ...BIG, cwd: folder, env, input });
        expect(ran.status, ran.stderr.toString()).toBe(0);
        const texts = JSON.parse(
          Buffer.from(ran.stdout.toString().replaceAll('"', ""), "base64").toString(),
        ) as string[];
        return Object.fromEntries(names.map((name, at) => [name, texts[at]]));
      });
    },
  );
});

const BIG = { maxBuffer: 256 * 1024 * 1024 };

function expectMany(
  format: "yaml" | "properties" | "tfvars",
  carries: (name: string, value: Buffer) => boolean,
  read: (file: string, names: readonly string[]) => object,
): void {
  const [sampled = new Map<string, Buffer>()] = fc.sample(manyValues(2_000), 1);
  const { body, kept } = carriedOf(format, new Map([...sampled, ...naughty]), carries);
  expect(kept.size).toBeGreaterThan(1_000);
  const file = join(folder, `variables.${format}`);
  writeFileSync(file, body);
  expectSame(textsOf(read(file, [...kept.keys()])), kept);
}

function attributesOf(body: string): object {
  const [attributes, error] = hcl.parseToObject(body) as [object | null, unknown];
  if (attributes === null) throw new Error(`HCL does not take it: ${String(error)}`);
  return attributes;
}

/** UTF-16 units in hexadecimal. */
function unitsOf(hex: string): string {
  return (hex.match(/.{4}/g) ?? []).map((unit) => String.fromCharCode(parseInt(unit, 16))).join("");
}

const JAVA = `
import java.io.*;
import java.util.*;

public class Read {
  public static void main(String[] args) throws IOException {
    Properties all = new Properties();
    try (InputStream in = new FileInputStream(args[0])) { all.load(in); }
    StringBuilder out = new StringBuilder();
    for (String name : all.stringPropertyNames()) {
      out.append(name).append(' ');
      for (char unit : all.getProperty(name).toCharArray()) out.append(String.format("%04x", (int) unit));
      out.append('\\n');
    }
    System.out.print(out);
  }
}
`;
