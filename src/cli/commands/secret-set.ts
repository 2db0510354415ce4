import { SECRET_NAME } from "#base";
import type { Cli } from "../cli.ts";
import type { Given } from "../given.ts";
import { CliError, usage } from "../error.ts";
import { readFile } from "#client";
import { withoutLineEnd } from "../input.ts";
import { call } from "../operation.ts";
import { IF_VERSION, SCOPE } from "../options.ts";
import { METADATA, metadataOf } from "./secret-metadata.ts";

/** 64 KiB of any bytes. */
const MAX_VALUE_BYTES = 65_536;

export const setSecret = call({
  name: "set",
  summary: "Write a value: a new secret, or a new version of one",
  about:
    "The value is asked for without being shown; or it is all that stdin holds, without one final line end (--raw keeps it), " +
    "so that `echo value | sallyport secret set NAME` does what it looks like; or with --file it is the file, to the byte.",
  arguments: [["<name>", "the secret's name: letters, digits and _"]],
  options: [
    ...SCOPE,
    { flags: "-f, --file <file>", meaning: "the value is this file's bytes" },
    { flags: "--raw", meaning: "keep a final line end of stdin" },
    { flags: "--allow-empty", meaning: "an empty value is meant" },
    {
      flags: "--insecure-value <value>",
      meaning: "the value itself, which other processes and your shell's history can show",
    },
    ...METADATA,
    { flags: "--create", meaning: "only if there is no such secret yet" },
    IF_VERSION,
  ],
  examples: [
    "sallyport secret set DB_URL",
    "pass show db/prod | sallyport secret set DB_URL --env prod",
    "sallyport secret set TLS_KEY --file server.key --rotate-by 90d",
  ],
  operation: "secret.write",
  noMore:
    "A value is no argument, where other processes and the shell's history show it: leave it out, and it is asked for.",
  async ask(cli, given) {
    const version = given.number("if-version");
    if (given.flag("create") && version !== undefined) throw usage("--create and --if-version exclude each other.");
    const params = { environment: cli.environment(given), namespace: cli.namespace(given), secret: given.argument(0) };
    refuseName(params.secret);
    return {
      params,
      body: { ...encode(await valueOf(cli, given)), ...metadataOf(given) },
      headers: {
        ...(given.flag("create") ? { ifNoneMatch: "*" as const } : {}),
        ...(version === undefined ? {} : { ifMatch: version }),
      },
    };
  },
  show(answer, out) {
    const at = `${answer.environment}/${answer.namespace}/${answer.name}`;
    if (!answer.changed) out.line(`${at} has this value already, at version ${String(answer.version)}.`);
    else
      out.line(`${at} ${answer.created ? "was created" : "was changed"}; it is at version ${String(answer.version)}.`);
  },
});

/** Before a value is asked for. A name that is none is not repeated: `NAME=value` holds a value. */
function refuseName(name: string): void {
  if (SECRET_NAME.test(name)) return;
  const message = "letters, digits and _, at most 128, not beginning with a digit";
  throw new CliError("invalid_input", undefined, {
    detail: { faults: [{ field: "<name>", message }] },
    ...(name.includes("=")
      ? { remedy: "Give the name alone: the value is asked for, piped in or read with --file." }
      : {}),
  });
}

async function valueOf(cli: Cli, given: Given): Promise<Buffer> {
  const value = await givenValue(cli, given);
  if (value.length > MAX_VALUE_BYTES) throw new CliError("payload_too_large", "a value holds at most 64 KiB");
  if (value.length === 0 && !given.flag("allow-empty"))
    throw usage("The value is empty: say --allow-empty if that is meant.");
  return value;
}

async function givenValue(cli: Cli, given: Given): Promise<Buffer> {
  const [file, argument] = [given.text("file"), given.text("insecure-value")];
  if (file !== undefined && argument !== undefined) throw usage("--file and --insecure-value exclude each other.");
  if (argument !== undefined) {
    cli.out.warn(
      "The value was given as an argument: other processes and your shell's history can show it. Pipe it in instead.",
    );
    return Buffer.from(argument, "utf8");
  }
  if (file !== undefined) return readFile(file, MAX_VALUE_BYTES);
  if (cli.input.isTyped) {
    if (given.flag("raw")) throw usage("--raw is about stdin, which is a terminal here.");
    return Buffer.from(await cli.input.hidden(`Value of ${given.argument(0)} (one line; more lines: --file)`), "utf8");
  }
  const bytes = await cli.input.bytes(MAX_VALUE_BYTES + 2);
  return given.flag("raw") ? bytes : withoutLineEnd(bytes);
}

/** As text where it is text, else as base64. */
function encode(value: Buffer): { value: string; encoding: "utf8" | "base64" } {
  try {
    return { value: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(value), encoding: "utf8" };
  } catch {
    return { value: value.toString("base64"), encoding: "base64" };
  }
}
