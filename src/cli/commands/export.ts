import { loadLaunching } from "#client";
import type { Command } from "../command.ts";
import { FORMAT, KUBERNETES, KUBERNETES_FIELDS, exchangeInto, formOf, putOut } from "../exported.ts";
import { openPrivateFile } from "../file.ts";
import { LAUNCH, launchToken } from "../launch-token.ts";
import { MINTED_BY_ANOTHER, OUTPUT } from "../options.ts";

/** Of the lease of an export that did not come out. */
const EXIT_FAILED = 1;

export const exportVariables: Command = {
  name: "export",
  summary: "Write the variables of a launch as text",
  about:
    "For programs that cannot be started by `sallyport run`. Run is better where it can be used: nothing lands on disk, and " +
    "the vault knows how long the values are in use. This mints an injection token as run does, or takes one, exchanges it, " +
    "writes the variables to stdout or into a 0600 file, and ends the lease at once. What is written stays until somebody " +
    "deletes it, and does not follow when a secret changes.",
  options: [
    { ...FORMAT, required: true },
    OUTPUT,
    { flags: "--force", meaning: "replace the file if it is there" },
    ...KUBERNETES,
    ...LAUNCH,
  ],
  examples: [
    "sallyport export --format dotenv --output .env",
    "sallyport export --workload data-pipelines/etl --env prod --format systemd --output /run/etl.env",
    "sallyport export -w data-pipelines/etl -e prod --format kubernetes --kubernetes-namespace jobs | kubectl apply -f -",
    'eval "$(sallyport export --format shell)"',
  ],
  uses: ["token.mint", "token.exchange", "injection.revoke", "lease.end"],
  optionOf: KUBERNETES_FIELDS,
  remedies: { token_invalid: MINTED_BY_ANOTHER },
  async run(cli, given) {
    const form = formOf(given, "json");
    const path = given.text("output");
    // Before the token is minted: what cannot be written is not asked for.
    const file = path === undefined ? null : openPrivateFile(path, !given.flag("force"));
    try {
      const token = await launchToken(cli, given);
      const { client } = cli;
      const { text, lease } = await exchangeInto(form, client, token, false).catch(async (error: unknown) => {
        // It would lie there until it expires: a value that the format cannot carry left it unused.
        if (token.minted !== null) await (await loadLaunching()).revokeUnused(client, token.minted.injectionId);
        throw error;
      });
      let exitCode = EXIT_FAILED;
      try {
        putOut(cli, text, file, path ?? "");
        exitCode = 0;
      } finally {
        if (lease !== null) await (await loadLaunching()).endLease(client, lease, exitCode);
      }
    } catch (error) {
      file?.discard();
      throw error;
    }
  },
};
