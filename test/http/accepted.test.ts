import { describe, expect, test } from "vitest";
import { acceptedFormat } from "../../src/http/accepted.ts";

describe("The format that an Accept header asks for", () => {
  test.each([
    [undefined, "json"],
    ["*/*", "json"],
    ["application/json", "json"],
    ["application/*", "json"],
    ["APPLICATION/JSON; charset=utf-8", "json"],
    ["text/plain", "dotenv"],
    ["text/*", "dotenv"],
    ["text/plain;charset=utf-8", "dotenv"],
    ["application/yaml", "yaml"],
    ["application/toml", "toml"],
    ["application/yaml, application/toml;q=0.9", "yaml"],
    ["application/yaml;q=0.8, application/toml;q=0.9", "toml"],
    ["text/plain, application/json;q=0.5", "dotenv"],
    ["text/plain;q=0.5, application/json;q=0.5", "json"],
    ["text/plain, */*;q=0.1", "dotenv"],
    ["application/json, application/problem+json, */*;q=0.5", "json"],
    ["application/json;q=0, */*", "dotenv"],
    ["image/png, text/*;q=0.001", "dotenv"],
    ["image/png", null],
    ["", null],
    [",;,", null],
    ["application/json;q=0", null],
    ["*/*;q=0", null],
    ["application/json;q=2", null],
    ["application/json;q=high", null],
    ["text/html, application/xml", null],
  ])("`%s` is %s", (accept, format) => {
    expect(acceptedFormat(accept)).toBe(format);
  });
});
