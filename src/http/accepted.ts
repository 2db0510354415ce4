import type { ExchangeFormat } from "#contract";

/** The formats that a media type says plainly; the others are asked for with `?format=`. */
const OFFERED: readonly (readonly [type: string, format: ExchangeFormat])[] = [
  ["application/json", "json"],
  ["text/plain", "dotenv"],
  ["application/yaml", "yaml"],
  ["application/toml", "toml"],
];
const WEIGHT = /^q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/i;

/**
 * The format that the client would rather have (RFC 9110, 12.5.1): the one with the greatest weight, of several the first
 * that is offered. `null`: it accepts none of them. Without the header it is JSON.
 */
export function acceptedFormat(accept: string | undefined): ExchangeFormat | null {
  const ranges = new Map((accept ?? "*/*").split(",").map(weighed));
  let best: { format: ExchangeFormat; weight: number } | null = null;
  for (const [type, format] of OFFERED) {
    // What says it more exactly counts.
    const weight = ranges.get(type) ?? ranges.get(type.replace(/\/.*/, "/*")) ?? ranges.get("*/*") ?? 0;
    if (weight > (best?.weight ?? 0)) best = { format, weight };
  }
  return best?.format ?? null;
}

function weighed(range: string): [type: string, weight: number] {
  const [type = "", ...parameters] = range.split(";").map((part) => part.trim());
  const weight = parameters.find((parameter) => /^q=/i.test(parameter));
  return [type.toLowerCase(), weight === undefined ? 1 : Number(WEIGHT.exec(weight)?.[1] ?? 0)];
}
