import { usage } from "../error.ts";
import { call } from "../operation.ts";
import { IF_VERSION, SCOPE } from "../options.ts";
import { METADATA, metadataOf } from "./secret-metadata.ts";
import { NAME_ARGUMENT, secretOf } from "./secret-shown.ts";

const KINDS = ["hex", "base64url", "alnum", "passphrase"] as const;
const DEFAULT_KIND = "base64url";

export const generateSecret = call({
  name: "generate",
  summary: "Write a random value that nobody sees: a new secret, or a new version of one",
  about:
    "The vault makes it and keeps it; workloads get it, and `secret reveal` shows it to who may. A passphrase is words with " +
    "- between them, for what people have to type.",
  arguments: NAME_ARGUMENT,
  options: [
    ...SCOPE,
    { flags: "--kind <kind>", meaning: "what it is made of", choices: KINDS, otherwise: DEFAULT_KIND },
    {
      flags: "--length <number>",
      meaning: "random bytes of hex and base64url, characters of alnum, words of a passphrase",
      otherwise: "32, 32, 8",
    },
    ...METADATA,
    { flags: "--create", meaning: "only if there is no such secret yet" },
    IF_VERSION,
  ],
  examples: [
    "sallyport secret generate SESSION_KEY",
    "sallyport secret generate DB_PASSWORD --kind alnum --length 40 --rotate-by 90d",
    "sallyport secret generate ADMIN_LOGIN --kind passphrase --create",
  ],
  operation: "secret.generate",
  ask(cli, given) {
    const [version, length] = [given.number("if-version"), given.number("length")];
    if (given.flag("create") && version !== undefined) throw usage("--create and --if-version exclude each other.");
    return {
      params: secretOf(cli, given),
      body: {
        kind: given.choice("kind", KINDS) ?? DEFAULT_KIND,
        ...(length === undefined ? {} : { length }),
        ...metadataOf(given),
      },
      headers: {
        ...(given.flag("create") ? { ifNoneMatch: "*" as const } : {}),
        ...(version === undefined ? {} : { ifMatch: version }),
      },
    };
  },
  show(answer, out) {
    const at = `${answer.environment}/${answer.namespace}/${answer.name}`;
    const how = answer.created ? "was created" : "was changed";
    out.line(`${at} ${how} with a random value; it is at version ${String(answer.version)}.`);
  },
});
