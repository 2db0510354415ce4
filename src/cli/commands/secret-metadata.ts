import type { Option } from "../command.ts";
import type { Given } from "../given.ts";
import { DESCRIPTION } from "../options.ts";

/** What stands beside a value. */
export const METADATA: readonly Option[] = [
  DESCRIPTION,
  { flags: "--tag <name>", meaning: "a tag; those given replace those it has", many: true },
  { flags: "--owner <who>", meaning: "who looks after it" },
  { flags: "--rotate-by <time>", meaning: "when it should be changed: 90d, 2026-12-31, or none" },
];

export function metadataOf(given: Given) {
  const [description, tags, owner] = [given.text("description"), given.list("tag"), given.text("owner")];
  const rotateBy = given.text("rotate-by") === "none" ? null : given.time("rotate-by");
  return {
    ...(description === undefined ? {} : { description }),
    ...(tags === undefined ? {} : { tags: [...tags] }),
    ...(owner === undefined ? {} : { owner }),
    ...(rotateBy === undefined ? {} : { rotateBy }),
  };
}
