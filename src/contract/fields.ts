import { LOGIN, NAME, RESERVED_NAMES, SECRET_NAME, VARIABLE_NAME, isId, parseDuration } from "#base";
import type { Id, IdPrefix } from "#base";
import { z } from "zod";

/**
 * The small words of the wire: names, ids, times, and the text that people write. What JSON Schema can say of a rule stands
 * in the OpenAPI document, by `meta` where zod would not say it itself; the rest is said there in words.
 */

const RESERVED = { not: { enum: [...RESERVED_NAMES] } };
const NO_PROTO = { not: { const: "__proto__" } };

/** Lengths are counted in characters of Unicode, as JSON Schema counts them. */
export const text = (max: number) =>
  z
    .string()
    .refine((given) => holdsAtMost(max, given), `at most ${String(max)} characters`)
    .meta({ maxLength: max });

export const name = z
  .string()
  .regex(NAME, "lower-case letters, digits, - and _, at most 63, beginning with a letter or digit")
  .refine((given) => !RESERVED_NAMES.has(given), "this word is reserved")
  .meta(RESERVED);
export const login = z
  .string()
  .regex(LOGIN, "lower-case letters, digits, - _ . + and one @, at most 63")
  .refine((given) => !RESERVED_NAMES.has(given), "this word is reserved")
  .meta(RESERVED);
export const secretName = z
  .string()
  .regex(SECRET_NAME, "letters, digits and _, at most 128, not beginning with a digit")
  .refine((given) => given !== "__proto__", "this word is reserved")
  .meta(NO_PROTO);
export const variableName = z
  .string()
  .regex(VARIABLE_NAME, "letters, digits and _, at most 128, not beginning with a digit")
  .refine((given) => given !== "__proto__", "this word is reserved")
  .meta(NO_PROTO);
const LAST_VERSION = 2_147_483_647;
export const version = z.int().min(1).max(LAST_VERSION);
export const versionText = z
  .string()
  .refine((given) => /^[1-9][0-9]{0,9}$/.test(given), "a version number")
  .transform(Number)
  .pipe(version)
  .meta({ override: { type: "integer", minimum: 1, maximum: LAST_VERSION } });

/** One of these words. The words stay texts to the rooms behind, which read them from rows of the store as well. */
export const oneOf = (words: readonly string[], message: string) =>
  z
    .string()
    .refine((given) => words.includes(given), message)
    .meta({ enum: words });

export function idOf<P extends IdPrefix>(prefix: P) {
  return z
    .string()
    .refine((given): given is Id<P> => isId(prefix, given), `an id that begins with ${prefix}_`)
    .meta({ pattern: `^${prefix}_[0-7][0-9a-hjkmnp-tv-z]{25}$` });
}

// eslint-disable-next-line no-control-regex -- these are what is refused
const ONE_LINE = /^[^\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]*$/;
const HALF_PAIR = /\p{Cs}/u;

/** Well-formed Unicode without control characters: it will stand in lists, logs and terminals. */
export const line = (max: number) =>
  text(max)
    .regex(ONE_LINE, "one line, without control or direction characters")
    .refine((given) => !HALF_PAIR.test(given), "not well-formed Unicode");
export const reason = line(500)
  .regex(/[^\s\ufeff].+[^\s\ufeff]/u, "say why, in at least three characters")
  .meta({ maxLength: 500 });
export const time = z.iso.datetime({ offset: true, abort: true });
/** RFC 3339 with seconds, of our times, so that it is written with four digits of a year again. */
export const TIME =
  /^(?:19[7-9][0-9]|[2-8][0-9]{3})-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])$/;
/** A time that people give. */
export const timeIn = time
  .refine((given) => TIME.test(given), "a time between 1970 and 9000, as in 2030-01-31T12:00:00Z")
  .meta({ pattern: TIME.source })
  .transform((given) => new Date(given));
export const durationSeconds = z.int().min(1);
export const settingDuration = z
  .string()
  .refine((given) => parseDuration(given) !== null, "a duration like 90s, 15m, 1h, 30d");

export const cidr = z.union([z.cidrv4(), z.cidrv6(), z.ipv4(), z.ipv6()], "an address or a CIDR range");
export const password = text(1024).min(1);
/** As somebody chooses it. */
export const newPassword = password.meta({
  minLength: 12,
  maxLength: 1024,
  description: "At least 12 characters, counted after normalization (NFC).",
});

const MOST_ON_A_PAGE = 1000;
/** Lists come in pages: give `next` back as `after` for the following one. */
export const page = {
  after: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,300}$/, "not a cursor")
    .meta({ description: "What `next` of the page before said. Nothing else is taken." })
    .optional(),
  limit: z
    .string()
    .refine((given) => /^[1-9][0-9]{0,3}$/.test(given), "a number from 1 to 1000")
    .transform(Number)
    .pipe(z.int().min(1).max(MOST_ON_A_PAGE))
    .meta({ override: { type: "integer", minimum: 1, maximum: MOST_ON_A_PAGE } })
    .optional(),
};
export const listOf = <T extends z.ZodType>(item: T) =>
  z.strictObject({ items: z.array(item), next: z.string().nullable() });
export const nothing = z.undefined();

function holdsAtMost(max: number, given: string): boolean {
  return given.length <= max || (given.length <= 2 * max && [...given].length <= max);
}
