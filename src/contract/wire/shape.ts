import type { z } from "zod";

/** Request headers that an operation reads beside `Authorization`. */
export type HeaderName = "If-Match" | "If-None-Match" | "Idempotency-Key" | "Sallyport-Runner" | "Accept";

/** What goes in and comes out of one operation. A part that is left out takes nothing: unknown fields are refused. */
export interface Wire {
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  readonly headers?: readonly HeaderName[];
  readonly response: z.ZodType;
}
