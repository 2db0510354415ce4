import { z } from "zod";
import { CATALOG } from "./catalog.ts";
import type { Operation, OperationId } from "./catalog.ts";
import { WIRE } from "./wire.ts";
import type { Wire } from "./wire/shape.ts";

/** Where a generic client goes on from an answer: an operation, and what its path takes from this request and answer. */
export interface Link {
  readonly operationId: OperationId;
  /** Runtime expressions (OpenAPI 3.1.1, section 4.8.20.4). */
  readonly parameters: Readonly<Record<string, string>>;
}

/**
 * From an operation that makes something to those that show or change it, by operation id. Read from catalog and wire: a link
 * is there where the target's path names what was made, and all of the path is known from this request and its answer.
 */
export function linksOf(id: OperationId): Readonly<Record<string, Link>> {
  const made = madeBy(id);
  const links: Record<string, Link> = {};
  if (made === null) return links;
  const known = Object.fromEntries(paramsOf(CATALOG[id]).map((name) => [name, `$request.path.${name}`]));
  const parameters: Record<string, string> = { ...known, [made.param]: `$response.body#${made.pointer}` };
  for (const target of Object.keys(CATALOG) as OperationId[]) {
    const entry: Operation = CATALOG[target];
    const needed = paramsOf(entry);
    const goesOn = (entry.method === "GET" || entry.method === "PATCH") && needed.includes(made.param);
    if (!goesOn || !needed.every((name) => Object.hasOwn(parameters, name))) continue;
    links[target] = {
      operationId: target,
      parameters: Object.fromEntries(needed.map((name) => [name, parameters[name] ?? ""])),
    };
  }
  return links;
}

/** The path parameter that names what an operation makes, and where its answer holds it (RFC 6901). */
function madeBy(id: OperationId): { param: string; pointer: string } | null {
  const entry: Operation = CATALOG[id];
  const wire: Wire = WIRE[id];
  const isMaking = entry.status === 201 || (entry.method === "PUT" && entry.path.endsWith("}"));
  if (!isMaking || entry.auth !== "actor") return null;
  const noun = id.slice(0, id.indexOf(".")).replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
  const answer = shapeOf(wire.response);
  const within = shapeOf(answer[noun]);
  for (const name of ["name", "login"]) {
    if (name in answer) return { param: noun, pointer: `/${name}` };
    if (name in within) return { param: noun, pointer: `/${noun}/${name}` };
  }
  // A manifest has no name: it is a version of its workload's.
  return "version" in answer && noun === "manifest" ? { param: "version", pointer: "/version" } : null;
}

function paramsOf({ path }: Operation): readonly string[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
}

function shapeOf(schema: unknown): Readonly<Record<string, unknown>> {
  return schema instanceof z.ZodObject ? schema.shape : {};
}
