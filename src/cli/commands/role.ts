import type { Noun } from "../command.ts";
import { shortList } from "../operation.ts";

export const role: Noun = {
  name: "role",
  summary: "Roles and their permissions",
  commands: [
    shortList({
      name: "list",
      summary: "Every role with its permissions",
      examples: ["sallyport role list", "sallyport role list --json"],
      operation: "role.list",
      ask: () => ({}),
      columns: {
        role: (one) => one.name,
        "by grant": (one) => one.grantable,
        permissions: (one) => one.permissions,
      },
      empty: "No role.",
    }),
  ],
};
