import type { Auth } from "#contract";
import type { Chance } from "./chance.ts";
import { NAUGHTY, ODD_BODIES } from "./naughty.ts";
import { spoilt, valid } from "./schema.ts";
import type { Schema } from "./schema.ts";
import type { World } from "./world.ts";

/** An operation as the document tells it. */
export interface Described {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly auth: Auth;
  readonly parameters: readonly {
    readonly in: string;
    readonly name: string;
    readonly required?: boolean;
    readonly schema: Schema;
  }[];
  readonly body: Schema | null;
}

export interface Shot {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body?: string;
}

/** How far from right a request is. */
const AIMS = ["right", "right", "right", "near", "near", "wild"] as const;

/** A request of an operation: right by the document, with one thing wrong, or with anything anywhere. */
export function shoot(operation: Described, world: World, chance: Chance): Shot {
  const aim = chance.of(AIMS);
  // Of what can be wrong usually one thing is, so that what comes after it is reached.
  const wrong =
    aim === "right" ? "nothing" : chance.of(["path", "query", "header", "body", "body", "body", "credential"] as const);
  const hits = (part: typeof wrong) => aim === "wild" || wrong === part;

  const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const text = hits("path") && chance.is(0.7) ? chance.of(NAUGHTY) : (world.words(name, chance) ?? "x");
    return hits("path") && chance.is(0.2) ? text.replace(/[\s\0?#]/g, "") : escaped(text);
  });
  const query: string[] = [];
  const headers: Record<string, string> = {};
  for (const { in: place, name, required, schema } of operation.parameters) {
    const value = () => String(valid(schema, name, chance, world.words));
    if (place === "query" && (required === true || chance.is(0.4)))
      query.push(`${name}=${escaped(hits("query") && chance.is(0.5) ? chance.of(NAUGHTY) : value())}`);
    if (place === "header" && chance.is(0.25)) headers[name] = header(name, world, chance, hits("header"));
  }
  if (hits("query") && chance.is(0.3))
    query.push(chance.of(["x=1", "limit=1&limit=2", "__proto__=1", "%zz", "=", "a[]=1"]));
  if (hits("header") && chance.is(0.5))
    headers[chance.of(["If-Match", "Accept", "Expect", "X-Request-Id", "Origin", "Content-Encoding"])] = chance
      .of(NAUGHTY)
      .replace(/[^\x20-\x7e]/g, "?")
      .slice(0, 2_000);

  const credential = hits("credential")
    ? world.credential(chance.of(["actor", "injection", "lease", "set-up"]), chance)
    : world.credential(operation.auth, chance);
  if (credential !== null) headers.Authorization = `${chance.is(0.02) ? "Basic" : "Bearer"} ${credential}`;
  if (operation.id === "token.exchange" && chance.is(0.3))
    headers["Sallyport-Runner"] = world.credential("actor", chance) ?? "x";

  let body: string | undefined;
  if (operation.body !== null || (hits("body") && chance.is(0.1))) {
    const good = valid(operation.body ?? { type: "object" }, "body", chance, world.words);
    body = JSON.stringify(hits("body") ? spoilt(good, chance) : good);
    if (hits("body") && chance.is(0.1)) body = chance.of(ODD_BODIES);
    headers["Content-Type"] =
      hits("header") && chance.is(0.3)
        ? chance.of(["text/plain", "application/json; charset=latin1", "*/*"])
        : "application/json";
    headers["Content-Length"] = String(Buffer.byteLength(body));
  }
  const method =
    aim === "wild" && chance.is(0.1)
      ? chance.of(["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE"])
      : operation.method;
  return {
    method,
    path: query.length === 0 ? path : `${path}?${query.join("&")}`,
    headers,
    ...(body === undefined ? {} : { body }),
  };
}

function header(name: string, world: World, chance: Chance, wrong: boolean): string {
  if (wrong) return chance.of(['"0"', 'W/"1"', '"x"', "x", "", '"1", "2"', "a".repeat(600)]);
  switch (name) {
    case "If-Match":
      return chance.of(["*", '"1"', '"2"', '"3"']);
    case "If-None-Match":
      return "*";
    case "Idempotency-Key":
      return chance.of(["0123456789abcdef", `key-${String(chance.below(1_000_000))}`]);
    case "Accept":
      return chance.of([
        "application/json",
        "text/plain",
        "*/*",
        "application/x-shellscript",
        "image/png",
        "application/json;q=0",
      ]);
    default:
      return world.credential("actor", chance) ?? "x";
  }
}

/** Percent-encoded, whatever it is: half of a surrogate pair becomes a question mark. */
function escaped(text: string): string {
  return encodeURIComponent(text.replace(/\p{Cs}/gu, "?"));
}
