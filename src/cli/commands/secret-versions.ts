import { parseNumber } from "../given.ts";
import { call, shortList } from "../operation.ts";
import { IF_VERSION, SCOPE } from "../options.ts";
import { formatTime } from "../text.ts";
import { NAME_ARGUMENT, ifVersion, secretOf } from "./secret-shown.ts";

export const versionsOfSecret = shortList({
  name: "versions",
  summary: "Versions of a secret with author and time",
  arguments: NAME_ARGUMENT,
  options: SCOPE,
  examples: ["sallyport secret versions DB_URL"],
  operation: "secret.versions",
  ask: (cli, given) => ({ params: secretOf(cli, given) }),
  columns: {
    version: (version) => version.version,
    current: (version) => version.current,
    state: (version) => version.state,
    bytes: (version) => version.bytes,
    created: (version) => formatTime(version.createdAt),
    by: (version) => version.createdBy,
  },
  empty: "It has no version left.",
});

export const rollbackSecret = call({
  name: "rollback",
  summary: "Make an earlier version's value the newest version",
  arguments: [...NAME_ARGUMENT, ["<version>", "whose value it shall be"]],
  options: [...SCOPE, IF_VERSION],
  examples: ["sallyport secret rollback DB_URL 3"],
  operation: "secret.rollback",
  ask: (cli, given) => ({
    params: secretOf(cli, given),
    body: { version: parseNumber(given.argument(1), "<version>") },
    ...ifVersion(given),
  }),
  show: (answer, out, given) =>
    out.line(`${answer.name} is at version ${String(answer.version)}, with the value of version ${given.argument(1)}.`),
});
