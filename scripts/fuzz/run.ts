import { CATALOG } from "#contract";
import type { OperationId } from "#contract";
import { send } from "../../test/harness.ts";
import type { Answer } from "../../test/harness.ts";
import { findIn } from "../drills/canary-forms.ts";
import { Chance } from "./chance.ts";
import { Judge } from "./judge.ts";
import type { OpenApi } from "./judge.ts";
import { shoot } from "./request.ts";
import type { Described, Shot } from "./request.ts";
import type { Schema } from "./schema.ts";
import { World } from "./world.ts";

export interface Options {
  readonly seed: number;
  readonly seconds: number;
  /** Goes on beyond its time until so many were answered: on a slow machine a test still means something. */
  readonly atLeast?: number;
  /** Breaks an answer on purpose before it is judged: whether the fuzz finds what is wrong. */
  readonly tamper?: (id: string, answer: Answer<unknown>) => Answer<unknown>;
}

export interface Finding {
  readonly fault: string;
  readonly operation: string;
  /** Which case of the seed. */
  readonly nth: number;
  readonly request: string;
}

export interface FuzzReport {
  readonly seed: number;
  /** Requests answered. */
  readonly n: number;
  readonly findings: readonly Finding[];
  /** How often each operation answered with each status. */
  readonly seen: ReadonlyMap<string, ReadonlyMap<number, number>>;
}

/** Operations that hash a password take most of the time, and so a smaller part. */
const HASHING: ReadonlySet<string> = new Set(["session.create", "set-up.complete", "password.change"]);
const AT_ONCE = 6;
const MEND_EVERY = 400;
const MOST_FINDINGS = 50;

/** Walks the document of a real vault for a while and judges every answer. The same seed makes the same requests. */
export async function fuzz({ seed, seconds, atLeast = 0, tamper }: Options): Promise<FuzzReport> {
  const world = await World.start();
  try {
    const document = (await send(world.server.url, { method: "GET", path: "/v1/openapi.json" })).body as OpenApi;
    const operations = describedIn(document);
    const judge = new Judge(document);
    const seen = new Map<string, Map<number, number>>(operations.map(({ id }) => [id, new Map<number, number>()]));
    const findings: Finding[] = [];
    let [nth, n] = [0, 0];
    const find = (fault: string, operation: string, at: number, shot: Shot | null) => {
      const known = findings.some((one) => one.fault === fault && one.operation === operation);
      if (!known && findings.length < MOST_FINDINGS)
        findings.push({ fault, operation, nth: at, request: shot === null ? "" : told(shot, world) });
    };

    const order: Described[] = [];
    const end = performance.now() + seconds * 1_000;
    const walk = async () => {
      while (performance.now() < end || n < atLeast) {
        const at = nth++;
        const chance = Chance.of(seed, at);
        // In rounds: each operation once, in an order of the round's own.
        order.push(...(order.length === 0 ? chance.shuffled(operations) : []));
        const operation = order.pop() ?? chance.of(operations);
        if (HASHING.has(operation.id) && chance.is(0.8)) continue;
        if (world.broken || (at > 0 && at % MEND_EVERY === 0)) await world.mend();
        const shot = shoot(operation, world, chance);
        const held = world.credentials();
        const heard = await send(world.server.url, shot).catch((error: unknown) => asError(error));
        if (heard instanceof Error) {
          // What node's own client would not send was not sent.
          if (!/ERR_(?:UNESCAPED|INVALID)/.test(String((heard as NodeJS.ErrnoException).code)))
            find(`no answer: ${heard.message}`, operation.id, at, shot);
          continue;
        }
        const answer = tamper === undefined ? heard : tamper(operation.id, heard);
        n++;
        const counts = seen.get(operation.id);
        counts?.set(answer.status, (counts.get(answer.status) ?? 0) + 1);
        const asked = { ...operation, method: shot.method };
        const known = document.paths[operation.path]?.[shot.method.toLowerCase()] === undefined ? operation : asked;
        for (const fault of judge.faults(known, answer, [...world.values, world.password], held))
          find(fault, operation.id, at, shot);
        world.learn(operation.id, answer);
        if (answer.status === 401) world.forget(shot.headers.Authorization?.replace(/^\w+ /, "") ?? null);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, walk));

    await world.mend();
    const { intact } = await world.owner.do("audit.verify");
    if (!intact) find("the audit log is not intact", "afterwards", nth, null);
    const printed = Buffer.from(world.server.output());
    for (const one of findIn(printed, [...world.values, world.password]))
      find(`the log holds ${one}`, "afterwards", nth, null);
    if (world.credentials().some((one) => printed.includes(one)))
      find("the log holds a credential", "afterwards", nth, null);
    return { seed, n, findings, seen };
  } finally {
    await world.close();
  }
}

function describedIn(document: OpenApi): Described[] {
  type Told = {
    operationId: string;
    parameters?: Described["parameters"];
    requestBody?: { content: Record<string, { schema: Schema }> };
  };
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, told]): Described => {
      const { operationId, parameters = [], requestBody } = told as unknown as Told;
      const body = requestBody?.content["application/json"]?.schema ?? null;
      const { auth } = CATALOG[operationId as OperationId];
      return { id: operationId, method: method.toUpperCase(), path, auth, parameters, body };
    }),
  );
}

/** A request for the eye, without what is secret in it. */
function told({ method, path, headers, body }: Shot, world: World): string {
  const { Authorization: credential, ...others } = headers;
  const kind = /sp_[a-z]+_/.exec(credential ?? "")?.[0] ?? (credential === undefined ? "none" : "odd");
  const text = `${method} ${path.slice(0, 300)} ${JSON.stringify(others).slice(0, 300)} [${kind}] ${(body ?? "").slice(0, 400)}`;
  return findIn(Buffer.from(text), [...world.values, world.password]).length > 0
    ? `${method} ${path.slice(0, 80)}`
    : text.replace(/sp_[a-z]+_[0-9a-z]{20,}/g, "sp_…");
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
