import type { Command } from "../command.ts";
import type { Given } from "../given.ts";
import { showList } from "../operation.ts";
import { LIMIT, SCOPE } from "../options.ts";
import { formatTime } from "../text.ts";
import { EVERYWHERE, IN_SCOPE } from "./secret-shown.ts";

export const listSecrets: Command = {
  name: "list",
  summary: "Names and metadata of secrets; never a value",
  options: [
    ...SCOPE,
    { flags: "-a, --all", meaning: "in every scope that you may list" },
    { flags: "--prefix <text>", meaning: "whose names begin so" },
    { flags: "--deleted", meaning: "those that were deleted and can be restored" },
    LIMIT,
  ],
  examples: [
    "sallyport secret list",
    "sallyport secret list --env prod -n payments",
    "sallyport secret list --all --prefix STRIPE_",
  ],
  uses: ["secret.list", "secret.search"],
  async run(cli, given) {
    const query = { prefix: given.text("prefix"), ...(given.flag("deleted") ? { state: "deleted" as const } : {}) };
    if (given.flag("all")) {
      await showList(cli, given, {
        operation: "secret.search",
        ask: () => ({ query }),
        columns: EVERYWHERE,
        empty: "No secret that you may list.",
      });
      return;
    }
    const params = { environment: cli.environment(given), namespace: cli.namespace(given) };
    const place = `${params.environment}/${params.namespace}`;
    await showList(cli, given, {
      operation: "secret.list",
      ask: () => ({ params, query }),
      columns: IN_SCOPE,
      empty: `Nothing here yet: no secret in ${place} that you may list. Write one: sallyport secret set NAME`,
    });
  },
};

export const searchSecrets: Command = {
  name: "search",
  summary: "Find secrets by name, tag, owner, author, age, use, rotation",
  about:
    "In every scope that you may list; what is given has to hold all at once. A time is a date, or a duration: 90d is 90 " +
    "days ago. A secret counts as unused for 90 days if no launch got it since, and it is that old itself.",
  options: [
    { flags: "-e, --env <name>", meaning: "only in this environment" },
    { flags: "-n, --namespace <name>", meaning: "only in this namespace" },
    { flags: "--contains <text>", meaning: "in its name, whatever its case" },
    { flags: "--prefix <text>", meaning: "its name begins so" },
    { flags: "--tag <name>", meaning: "has this tag" },
    { flags: "--owner <who>", meaning: "is looked after by" },
    { flags: "--author <who>", meaning: "was written last by: a login or a name" },
    { flags: "--created-before <time>", meaning: "is older than" },
    { flags: "--created-after <time>", meaning: "is newer than" },
    { flags: "--updated-before <time>", meaning: "was not written since" },
    { flags: "--updated-after <time>", meaning: "was written since" },
    { flags: "--used-before <time>", meaning: "was not used since, or never" },
    { flags: "--used-after <time>", meaning: "was used since" },
    { flags: "--unused-for <duration>", meaning: "was there all the time, and not used" },
    { flags: "--rotate-due", meaning: "its date to rotate by is over" },
    { flags: "--rotate-within <duration>", meaning: "its date to rotate by is over, or comes by then" },
    { flags: "--deleted", meaning: "was deleted and can be restored" },
    LIMIT,
  ],
  examples: [
    "sallyport secret search --contains stripe",
    "sallyport secret search --env prod --updated-before 90d",
    "sallyport secret search --unused-for 90d",
    "sallyport secret search --rotate-within 14d",
  ],
  uses: ["secret.search"],
  async run(cli, given) {
    const query = filterOf(given);
    await showList(cli, given, {
      operation: "secret.search",
      ask: () => ({ query }),
      columns: {
        environment: (secret) => secret.environment,
        namespace: (secret) => secret.namespace,
        name: (secret) => secret.name,
        version: (secret) => secret.version,
        updated: (secret) => formatTime(secret.updatedAt),
        by: (secret) => secret.updatedBy,
        "last used": (secret) => formatTime(secret.lastUsed?.at ?? null),
        "rotate by": (secret) => formatTime(secret.rotateBy),
        tags: (secret) => secret.tags,
        owner: (secret) => secret.owner,
      },
      empty: "No secret that you may list is like that.",
    });
  },
};

function filterOf(given: Given) {
  const unusedSince = given.onlyDuration("unused-for", -1);
  const dueBy = given.flag("rotate-due") ? new Date().toISOString() : given.onlyDuration("rotate-within", 1);
  return {
    environment: given.text("env"),
    namespace: given.text("namespace"),
    contains: given.text("contains"),
    prefix: given.text("prefix"),
    tag: given.text("tag"),
    owner: given.text("owner"),
    author: given.text("author"),
    // What was made since cannot have been unused for so long.
    createdBefore: earliest(given.timeAgo("created-before"), unusedSince),
    createdAfter: given.timeAgo("created-after"),
    updatedBefore: given.timeAgo("updated-before"),
    updatedAfter: given.timeAgo("updated-after"),
    usedBefore: earliest(given.timeAgo("used-before"), unusedSince),
    usedAfter: given.timeAgo("used-after"),
    rotateBefore: dueBy,
    ...(given.flag("deleted") ? { state: "deleted" as const } : {}),
  };
}

/** ISO times of one zone sort as texts do. */
function earliest(...times: readonly (string | undefined)[]): string | undefined {
  return times.filter((time) => time !== undefined).sort()[0];
}
