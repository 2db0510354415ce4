import type { z } from "zod";
import type { OperationId } from "./catalog.ts";
import type { WIRE } from "./wire.ts";

type W = typeof WIRE;
type Part<Id extends OperationId, K extends string> =
  W[Id] extends Record<K, infer S extends z.ZodType> ? z.infer<S> : undefined;
type Given<Id extends OperationId, K extends string> =
  W[Id] extends Record<K, infer S extends z.ZodType> ? z.input<S> : undefined;

/** The parts of an operation's request as the server has parsed them. */
export type Params<Id extends OperationId> = Part<Id, "params">;
export type Query<Id extends OperationId> = Part<Id, "query">;
export type Body<Id extends OperationId> = Part<Id, "body">;
/** What the operation answers. */
export type Response<Id extends OperationId> = z.infer<W[Id]["response"]>;

/** The same parts as a client writes them. */
export interface ClientRequest<Id extends OperationId> {
  readonly params: Given<Id, "params">;
  readonly query: Given<Id, "query">;
  readonly body: Given<Id, "body">;
}

/** Headers beside `Authorization`, already parsed. */
export interface RequestHeaders {
  /** The version in If-Match, or `null` for `*`. */
  readonly ifMatch?: number | null;
  readonly ifNoneMatch?: "*";
  readonly idempotencyKey?: string;
  readonly runner?: string;
  readonly accept?: string;
}
