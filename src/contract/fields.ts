import { LOGIN, NAME, RESERVED_NAMES, SECRET_NAME, VARIABLE_NAME, isId, parseDuration } from "#base";
import type { Id, IdPrefix } from "#base";
import { z } from "zod";

/** The small words of the wire: names, ids, times, and the text that people write. */

export const name = z
  .string()
  .regex(NAME, "lower-case letters, digits, - and _, at most 63, beginning with a letter or digit")
  .refine((text) => !RESERVED_NAMES.has(text), "this word is reserved");
export const login = z
  .string()
  .regex(LOGIN, "lower-case letters, digits, - _ . + and one @, at most 63")
  .refine((text) => !RESERVED_NAMES.has(text), "this word is reserved");
export const secretName = z
  .string()
  .regex(SECRET_NAME, "letters, digits and _, at most 128, not beginning with a digit")
  .refine((text) => text !== "__proto__", "this word is reserved");
export const variableName = z
  .string()
  .regex(VARIABLE_NAME, "letters, digits and _, at most 128, not beginning with a digit")
  .refine((text) => text !== "__proto__", "this word is reserved");
export const version = z.int().min(1).max(2_147_483_647);
export const versionText = z
  .string()
  .regex(/^[1-9]\d{0,9}$/, "a version number")
  .transform(Number)
  .pipe(version);

export function idOf<P extends IdPrefix>(prefix: P) {
  return z.string().refine((text): text is Id<P> => isId(prefix, text), `an id that begins with ${prefix}_`);
}

/** Well-formed Unicode without control characters: it will stand in lists, logs and terminals. */
export const line = (max: number) =>
  z
    .string()
    .max(max)
    .refine(
      (text) => !/[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u.test(text),
      "one line, without control or direction characters",
    );
export const reason = line(500).refine((text) => text.trim().length >= 3, "say why, in at least three characters");
export const time = z.iso.datetime({ offset: true });
/** A time that people give: of our times, so that it is written with four digits of a year again. */
export const timeIn = time
  .transform((text) => new Date(text))
  .refine((given) => given.getTime() >= 0 && given.getUTCFullYear() < 9_000, "a time between 1970 and 9000");
export const durationSeconds = z.int().min(1);
export const settingDuration = z
  .string()
  .refine((text) => parseDuration(text) !== null, "a duration like 90s, 15m, 1h, 30d");

export const cidr = z.union([z.cidrv4(), z.cidrv6(), z.ipv4(), z.ipv6()], "an address or a CIDR range");
export const password = z.string().min(1).max(1024);

/** Lists come in pages: give `next` back as `after` for the following one. */
export const page = {
  after: z.string().max(300).optional(),
  limit: z
    .string()
    .regex(/^\d{1,4}$/)
    .transform(Number)
    .pipe(z.int().min(1).max(1000))
    .optional(),
};
export const listOf = <T extends z.ZodType>(item: T) =>
  z.strictObject({ items: z.array(item), next: z.string().nullable() });
export const nothing = z.undefined();
