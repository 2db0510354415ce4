import { describe, expect, test } from "vitest";
import { ERRORS } from "#base";
import { CATALOG, EXCHANGE_FORMATS, FORMAT_NAMES, loadOpenApi, loadWire } from "#contract";
import type { OperationId, Wire } from "#contract";

/** Read as a client reads it: what it holds is asserted, not typed. */
type Json = ReturnType<typeof JSON.parse>;
const document: Json = JSON.parse(JSON.stringify(await loadOpenApi("1.2.3")));
const wire = await loadWire();
const operations: [OperationId, Json][] = (Object.keys(CATALOG) as OperationId[]).map((id) => [
  id,
  document.paths[CATALOG[id].path]?.[CATALOG[id].method.toLowerCase()],
]);

describe("The OpenAPI document", () => {
  test("says its version and that of the specification", () => {
    expect([document.openapi, document.info.title, document.info.version]).toEqual(["3.1.1", "Sallyport", "1.2.3"]);
  });

  test.each(operations)("describes %s as catalog and wire say it", (id, described) => {
    const { auth, permission, status, summary, path } = CATALOG[id];
    expect(described).toMatchObject({ operationId: id, summary, "x-permission": permission });
    expect(described.responses).toHaveProperty(String(status));
    expect(described.responses.default.content["application/problem+json"].schema).toEqual({
      $ref: "#/components/schemas/Problem",
    });
    expect("content" in described.responses[status]).toBe(status !== 204);
    expect("requestBody" in described).toBe("body" in wire[id]);

    const schemes = {
      open: [],
      "sign-in": [],
      actor: ["credential"],
      "set-up": ["setUp"],
      injection: ["injectionToken"],
      lease: ["lease"],
    };
    expect(described.security.flatMap((one: object) => Object.keys(one))).toEqual(schemes[auth]);

    const named = (where: string) =>
      (described.parameters ?? []).filter((one: Json) => one.in === where).map((one: Json) => one.name);
    expect(named("path")).toEqual([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name));
    // OpenAPI passes over a parameter called Accept; the media types of the answer say it.
    const { headers = [] }: Wire = wire[id];
    expect(named("header")).toEqual(headers.filter((header) => header !== "Accept"));
  });

  test("holds the closed list of error codes", () => {
    expect(document.components.schemas.Problem.properties.code.enum).toEqual(Object.keys(ERRORS));
  });

  test("names every scheme that it uses", () => {
    const used = operations.flatMap(([, { security }]) => security.flatMap((one: object) => Object.keys(one)));
    expect(Object.keys(document.components.securitySchemes).sort()).toEqual([...new Set<string>(used)].sort());
  });

  test("takes no field that it does not name, in any body", () => {
    for (const [id, { requestBody }] of operations) {
      const schema = requestBody?.content["application/json"].schema;
      for (const one of schema?.anyOf ?? (schema ? [schema] : [])) {
        if (one.type === "object") expect([id, one.additionalProperties]).toEqual([id, false]);
      }
    }
  });

  test("tells the media types of an exchange, the formats that are asked for, and where the lease is", () => {
    const { parameters, responses } = document.paths["/v1/exchange"].post;
    expect(Object.keys(responses["200"].content)).toEqual([
      "application/json",
      "text/plain",
      "application/octet-stream",
      "application/yaml",
      "application/toml",
    ]);
    expect(responses["200"].headers["Sallyport-Lease"].schema).toEqual({ type: "string" });
    const format = parameters.find((one: Json) => one.name === "format");
    expect(format.schema.enum).toEqual(FORMAT_NAMES);
    expect(FORMAT_NAMES).toEqual(Object.keys(EXCHANGE_FORMATS));
    expect(parameters.filter((one: Json) => one.in === "query").map((one: Json) => one.name)).toEqual([
      "format",
      "name",
      "namespace",
    ]);
  });

  test("is plain JSON", async () => {
    expect(await loadOpenApi("1.2.3")).toEqual(document);
  });
});
