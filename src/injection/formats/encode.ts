import { isUtf8 } from "node:buffer";
import { VaultError } from "#base";
import type { Redacted } from "#base";
import { EXCHANGE_FORMATS } from "#contract";
import type { ExchangeFormat } from "#contract";
import { docker, dotenv, systemd } from "./env-files.ts";
import { properties, tfvars, toml, yaml } from "./escaped.ts";
import { kubernetes } from "./kubernetes.ts";
import type { Entry, Format, SecretManifest } from "./format.ts";
import { shell } from "./shell.ts";

/** The variables of a launch, in the manifest's order. */
export type Variables = ReadonlyMap<string, Redacted<Buffer>>;

/** Every format but JSON, which has the whole answer and so is no text of its own. */
export type TextFormat = Exclude<ExchangeFormat, "json">;

export const FORMATS: Readonly<Record<TextFormat, Format>> = {
  dotenv,
  shell,
  docker,
  systemd,
  yaml,
  kubernetes,
  toml,
  properties,
  tfvars,
};

/** Writes all of them. Throws `not_representable`, naming each variable that the format cannot carry, and why. */
export function encodeText(
  format: TextFormat,
  variables: Variables,
  manifest: SecretManifest,
): { body: Buffer; contentType: string } {
  const { cannot, cannotTogether, write } = FORMATS[format];
  const entries: Entry[] = [...variables].map(([name, value]) => ({ name, value: value.reveal() }));
  const refused = [
    ...entries.flatMap((entry) => {
      const reason = cannot.map((rule) => rule(entry)).find((why) => why !== null);
      return reason === undefined ? [] : [{ variable: entry.name, reason }];
    }),
    ...(cannotTogether?.(entries) ?? []),
  ];
  if (refused.length > 0) throw new VaultError("not_representable", undefined, { detail: { variables: refused } });
  return { body: write(entries, manifest), contentType: EXCHANGE_FORMATS[format] };
}

/** A value for JSON: as text where it is UTF-8, else in base64. */
export function encodeValue(value: Redacted<Buffer>): { value: string; encoding: "utf8" | "base64" } {
  const bytes = value.reveal();
  return isUtf8(bytes)
    ? { value: bytes.toString(), encoding: "utf8" }
    : { value: bytes.toString("base64"), encoding: "base64" };
}
