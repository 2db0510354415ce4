/**
 * contract: the wire.
 *
 * The catalog says which operations there are, who may knock and with which permission; the schemas say what goes in and
 * out; the OpenAPI document is made of both. The catalog is plain data and loads at once; the schemas bring zod with them
 * and are loaded when asked for, so that a command line that only needs paths and types starts without them.
 */
export { CATALOG } from "./catalog.ts";
export type { Auth, Effect, Operation, OperationId } from "./catalog.ts";
export { EXCHANGE_FORMATS, FORMAT_NAMES } from "./format.ts";
export type { ExchangeFormat } from "./format.ts";
export type { Body, ClientRequest, Params, Query, RequestHeaders, Response } from "./types.ts";
export type { HeaderName, Wire } from "./wire/shape.ts";

/** The schemas of every operation. */
export async function loadWire() {
  return (await import("./wire.ts")).WIRE;
}

/** The OpenAPI 3.1 document, derived from catalog and schemas. */
export async function loadOpenApi(version: string) {
  return (await import("./openapi.ts")).openApi(version);
}
