/**
 * Which room may import which, as rules for dependency-cruiser.
 *
 * A room sees the floors below its own, through their index.ts only. Rooms of one floor do not see each other.
 */
import type { IForbiddenRuleType } from "dependency-cruiser";

/** Bottom up. */
export const FLOORS: readonly (readonly string[])[] = [
  ["base"],
  ["settings", "contract", "crypto", "storage", "supervisor"],
  ["audit"],
  ["access"],
  ["identity", "secrets"],
  ["workloads"],
  ["injection"],
  ["broker"],
  ["http"],
  ["web", "ops", "client"],
  ["cli"],
];

/** Rooms that see less than their floor would let them. */
const NARROWED: Readonly<Record<string, readonly string[]>> = {
  cli: ["base", "settings", "contract", "crypto", "ops", "client"],
  client: ["base", "contract"],
};

/** The files outside every room, and the rooms they see. */
export const TOP: Readonly<Record<string, readonly string[]>> = {
  "condition.ts": FLOORS.flat(),
  "status.ts": FLOORS.flat(),
  "engine.ts": FLOORS.flat(),
  "main.ts": FLOORS.flat(),
  "vault.ts": FLOORS.flat(),
};

const TOP_FILE = String.raw`^src/[^/]+\.ts$`;

const rooms: IForbiddenRuleType[] = FLOORS.flatMap((floor, height) =>
  floor.map((room) => ({
    name: `room-${room}`,
    severity: "error",
    from: { path: `^src/${room}/` },
    to: {
      path: "^src/",
      pathNot: [`^src/${room}/`, ...doors(NARROWED[room] ?? FLOORS.slice(0, height).flat())],
    },
  })),
);

const top: IForbiddenRuleType[] = Object.entries(TOP).map(([file, seen]) => ({
  name: `top-${file}`,
  severity: "error",
  from: { path: `^src/${file.replace(".", String.raw`\.`)}$` },
  to: {
    path: "^src/",
    pathNot: [...doors(seen), TOP_FILE],
  },
}));

export const FORBIDDEN: IForbiddenRuleType[] = [
  ...rooms,
  ...top,
  {
    name: "no-circle",
    severity: "error",
    from: { path: "^src/" },
    to: { circular: true },
  },
  {
    name: "door-by-name",
    comment: "another room is imported as #room, not by a relative path",
    severity: "error",
    from: { path: "^src/([^/]+)/" },
    to: { path: "^src/[^/]+/", pathNot: "^src/$1/", dependencyTypesNot: ["aliased-subpath-import"] },
  },
  {
    name: "top-by-name",
    comment: "a room is imported as #room, not by a relative path",
    severity: "error",
    from: { path: TOP_FILE },
    to: { path: "^src/[^/]+/", dependencyTypesNot: ["aliased-subpath-import"] },
  },
  {
    name: "own-room-by-path",
    comment: "inside a room imports are relative",
    severity: "error",
    from: { path: "^src/([^/]+)/" },
    to: { path: "^src/$1/", dependencyTypes: ["aliased-subpath-import"] },
  },
  {
    name: "crypto-only",
    comment: "only src/crypto imports node:crypto",
    severity: "error",
    from: { path: "^src/", pathNot: "^src/crypto/" },
    to: { path: "^(node:)?crypto$" },
  },
  {
    name: "drivers-only",
    comment: "only src/storage imports the database drivers and the query builder",
    severity: "error",
    from: { path: "^src/", pathNot: "^src/storage/" },
    to: { path: "(^|/)node_modules/(@types/)?(better-sqlite3|pg|kysely)(/|$)" },
  },
  {
    name: "client-bare",
    comment: "the client runs in programs of others and brings no package",
    severity: "error",
    from: { path: "^src/client/" },
    to: { dependencyTypes: ["npm", "npm-dev", "npm-optional", "npm-peer", "npm-no-pkg", "npm-unknown"] },
  },
  {
    name: "product-only",
    comment: "the product does not import its tests, its scripts or its own build",
    severity: "error",
    from: { path: "^src/" },
    to: { path: "^(test|scripts|dist)/" },
  },
  {
    name: "declared-only",
    comment: "packages that the product imports stand in its dependencies",
    severity: "error",
    from: { path: "^src/" },
    to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"], dependencyTypesNot: ["type-only"] },
  },
  {
    name: "resolvable",
    severity: "error",
    from: { path: "^src/" },
    to: { couldNotResolve: true },
  },
];

function doors(names: readonly string[]): string[] {
  return names.map((name) => String.raw`^src/${name}/index\.ts$`);
}
