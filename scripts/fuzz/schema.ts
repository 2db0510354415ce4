import type { Chance } from "./chance.ts";
import { NAUGHTY, ODD_VALUES } from "./naughty.ts";

/** As much of JSON Schema as the document uses. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly propertyNames?: Schema;
  readonly items?: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly format?: string;
}

/** Words that mean something to this vault: what stands in a field of that name. */
export type Words = (field: string, chance: Chance) => string | null;

/** A value that a schema takes, as far as it says; fields that may be left out are, half of the time. */
export function valid(schema: Schema, field: string, chance: Chance, words: Words): unknown {
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return chance.of(schema.enum);
  const branches = schema.anyOf ?? schema.oneOf;
  if (branches !== undefined) return valid(chance.of(branches), field, chance, words);
  const type = typeof schema.type === "string" ? schema.type : chance.of(schema.type ?? ["null"]);
  switch (type) {
    case "object": {
      const made = Object.entries(schema.properties ?? {})
        .filter(([name]) => schema.required?.includes(name) === true || chance.is(0.4))
        .map(([name, inner]) => [name, valid(inner, name, chance, words)]);
      const rest = schema.additionalProperties;
      const more =
        typeof rest === "object"
          ? Array.from({ length: chance.below(4) }, (_, n) => [
              chance.is(0.8) ? `NAME_${String(n)}` : chance.of(NAUGHTY),
              valid(rest, "name", chance, words),
            ])
          : [];
      return Object.fromEntries([...made, ...more]) as unknown;
    }
    case "array": {
      const { minItems = 0, maxItems = 3 } = schema;
      const length = Math.min(maxItems, minItems + chance.below(3));
      return Array.from({ length }, () => valid(schema.items ?? {}, field, chance, words));
    }
    case "string":
      return word(schema, field, chance, words);
    case "integer":
    case "number": {
      const { minimum = 0, maximum = 1_000 } = schema;
      return chance.of([minimum, maximum, minimum + chance.below(Math.min(maximum - minimum, 20) + 1)]);
    }
    case "boolean":
      return chance.is(0.5);
    default:
      return null;
  }
}

/** The same with something wrong somewhere: another kind, a boundary crossed, a field too many or too few. */
export function spoilt(value: unknown, chance: Chance): unknown {
  if (Array.isArray(value)) {
    if (value.length === 0 || chance.is(0.3))
      return chance.of([odd(chance), Array.from({ length: 1_200 }, () => value[0] as unknown), [odd(chance)]]);
    const at = chance.below(value.length);
    return value.map((one: unknown, n) => (n === at ? spoilt(one, chance) : one));
  }
  if (typeof value === "object" && value !== null) {
    const fields = Object.entries(value);
    const at = chance.below(Math.max(1, fields.length));
    switch (chance.below(6)) {
      case 0:
        return Object.fromEntries(fields.filter((_, n) => n !== at));
      case 1:
        return { ...value, [chance.of(NAUGHTY.filter((name) => name !== "__proto__"))]: odd(chance) };
      case 2:
        return odd(chance);
      default:
        return Object.fromEntries(fields.map(([name, one], n) => [name, n === at ? spoilt(one, chance) : one]));
    }
  }
  if (typeof value === "number" && chance.is(0.6))
    return chance.of([-value, value + 0.5, value * 1_000_000, value - 1, value + 1, String(value)]);
  if (typeof value === "string" && chance.is(0.8)) {
    return chance.of([
      chance.of(NAUGHTY),
      value.toUpperCase(),
      ` ${value}`,
      `${value}\n`,
      value.slice(1),
      value + value,
    ]);
  }
  return odd(chance);
}

function odd(chance: Chance): unknown {
  return chance.is(0.5) ? chance.of(ODD_VALUES) : chance.of(NAUGHTY);
}

function word({ format, minLength = 0, maxLength = 300 }: Schema, field: string, chance: Chance, words: Words): string {
  if (format === "date-time") {
    return chance.of(["2030-01-01T00:00:00Z", "2020-01-01T00:00:00.000Z", "2026-12-01T12:00:00.5Z"]);
  }
  const known = words(field, chance);
  if (known !== null && chance.is(0.85)) return known;
  const length = chance.of([minLength, maxLength, Math.min(maxLength, minLength + chance.below(12))]);
  return chance.is(0.2) ? chance.of(NAUGHTY) : "abcdefghij".repeat(Math.ceil(length / 10)).slice(0, length);
}
