import type { Noun } from "../command.ts";
import { usage } from "../error.ts";
import { call } from "../operation.ts";
import { IF_VERSION, SCOPE } from "../options.ts";
import { compareSecrets } from "./secret-compare.ts";
import { copySecrets, moveSecrets } from "./secret-copy.ts";
import { deleteSecret, destroySecret, restoreSecret } from "./secret-end.ts";
import { exportSecrets } from "./secret-export.ts";
import { generateSecret } from "./secret-generate.ts";
import { importSecrets } from "./secret-import.ts";
import { listSecrets, searchSecrets } from "./secret-list.ts";
import { METADATA, metadataOf } from "./secret-metadata.ts";
import { policyOfSecret } from "./secret-policy.ts";
import { revealSecret } from "./secret-reveal.ts";
import { setSecret } from "./secret-set.ts";
import { NAME_ARGUMENT, ifVersion, secretOf, showSecret } from "./secret-shown.ts";
import { usesOfSecret } from "./secret-uses.ts";
import { rollbackSecret, versionsOfSecret } from "./secret-versions.ts";

const showOne = call({
  name: "show",
  summary: "Metadata of a secret; never its value",
  arguments: NAME_ARGUMENT,
  options: SCOPE,
  examples: ["sallyport secret show DB_URL --env prod"],
  operation: "secret.get",
  ask: (cli, given) => ({ params: secretOf(cli, given) }),
  show: showSecret,
});

const updateSecret = call({
  name: "update",
  summary: "Change description, tags, owner or the date to rotate by",
  arguments: NAME_ARGUMENT,
  options: [...SCOPE, ...METADATA, IF_VERSION],
  examples: [
    "sallyport secret update DB_URL --tag database --rotate-by 90d",
    "sallyport secret update DB_URL --rotate-by none",
  ],
  operation: "secret.update",
  ask(cli, given) {
    const body = metadataOf(given);
    if (Object.keys(body).length === 0)
      throw usage("Say what to change: --description, --tag, --owner or --rotate-by.");
    return { params: secretOf(cli, given), body, ...ifVersion(given) };
  },
  show: showSecret,
});

export const secret: Noun = {
  name: "secret",
  summary: "Secrets: names, versions and values",
  commands: [
    setSecret,
    generateSecret,
    importSecrets,
    listSecrets,
    searchSecrets,
    showOne,
    usesOfSecret,
    revealSecret,
    exportSecrets,
    updateSecret,
    versionsOfSecret,
    rollbackSecret,
    copySecrets,
    moveSecrets,
    compareSecrets,
    policyOfSecret,
    deleteSecret,
    restoreSecret,
    destroySecret,
  ],
};
