import { parseNumber } from "../given.ts";
import type { Command } from "../command.ts";
import { call } from "../operation.ts";
import { IF_VERSION, SCOPE, YES } from "../options.ts";
import { NAME_ARGUMENT, ifVersion, scopeTyped, secretOf } from "./secret-shown.ts";
import { warnOfUses } from "./secret-uses.ts";

/** How a secret ends: deleted for a while, or destroyed for good. */

export const deleteSecret: Command = {
  name: "delete",
  summary: "Delete a secret; it can be restored for 30 days",
  about: "Where something uses it, by name or in a launch that runs, that is said first, and asked about.",
  arguments: NAME_ARGUMENT,
  options: [...SCOPE, IF_VERSION, YES],
  examples: ["sallyport secret delete OLD_KEY --env dev", "sallyport secret delete OLD_KEY --yes"],
  uses: ["secret.uses", "secret.delete"],
  async run(cli, given) {
    const params = secretOf(cli, given);
    const { secret } = params;
    if (await warnOfUses(cli, params)) await cli.confirm(given, `Delete ${secret}? It can be restored for 30 days.`);
    await cli.call("secret.delete", { params, ...ifVersion(given) });
    if (!cli.out.json)
      cli.out.line(`${secret} was deleted. Bring it back: sallyport secret restore ${secret}${scopeTyped(given)}`);
  },
};

export const restoreSecret = call({
  name: "restore",
  summary: "Bring back a deleted secret",
  arguments: NAME_ARGUMENT,
  options: SCOPE,
  examples: ["sallyport secret restore OLD_KEY --env dev"],
  operation: "secret.restore",
  ask: (cli, given) => ({ params: secretOf(cli, given) }),
  show: (answer, out) => out.line(`${answer.name} is back, at version ${String(answer.version)}.`),
});

export const destroySecret: Command = {
  name: "destroy",
  summary: "Destroy versions of a secret, or a deleted secret, for good",
  about: "What uses the secret is said first.",
  arguments: [
    ...NAME_ARGUMENT,
    ["[versions...]", "which versions; without any, the whole secret, which has to be deleted first"],
  ],
  options: [...SCOPE, YES],
  examples: ["sallyport secret destroy DB_URL 1 2", "sallyport secret destroy OLD_KEY --yes"],
  uses: ["secret.uses", "secret.destroy"],
  async run(cli, given) {
    const params = secretOf(cli, given);
    const versions = given.rest(1).map((text) => parseNumber(text, "[versions...]"));
    // What is to be destroyed as a whole was deleted: nothing uses it.
    if (versions.length > 0) await warnOfUses(cli, params);
    const what = versions.length === 0 ? "all" : `version ${versions.join(", ")}`;
    await cli.confirm(given, `Destroy ${what} of ${params.secret}? It cannot be brought back.`);
    await cli.call("secret.destroy", { params, body: versions.length === 0 ? {} : { versions } });
    if (!cli.out.json) cli.out.line("Destroyed.");
  },
};
