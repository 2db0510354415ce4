/**
 * Checks the walls between the rooms of src/, and that the check itself saw every file: a compiler that the cruiser
 * cannot use would let it pass with nothing read.
 */
import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import { cruise } from "dependency-cruiser";
import type { ICruiseResult } from "dependency-cruiser";
import { FLOORS, FORBIDDEN, TOP } from "./walls.config.ts";

// Another tree may be named, so that a test can show that the check fails on a broken one.
process.chdir(process.argv[2] ?? resolve(import.meta.dirname, "../.."));

const files = readdirSync("src", { recursive: true, encoding: "utf8" })
  .map((file) => `src/${file.replaceAll("\\", "/")}`)
  .filter((file) => /\.[cm]?[jt]sx?$/.test(file));

const { output } = await cruise(
  ["src"],
  {
    ruleSet: { forbidden: FORBIDDEN },
    validate: true,
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["sallyport-source", "types", "import", "node", "default"],
      extensions: [".ts", ".tsx", ".d.ts", ".js"],
    },
  },
  {},
  { tsConfig: { options: {} } },
);
if (typeof output === "string") throw new Error("the cruiser gave text where a result was asked for");

const faults = [...unseen(output), ...misplaced(), ...violations(output)];
for (const fault of faults) console.error(`walls: ${fault}`);
if (faults.length > 0) process.exitCode = 1;
else console.log(`walls: ${String(files.length)} files, ${String(FLOORS.flat().length)} rooms, no violation`);

function unseen(result: ICruiseResult): string[] {
  if (files.length === 0) return ["no file under src"];
  if (result.modules.length === 0) return ["no module was cruised"];
  const seen = new Set(result.modules.map((module) => module.source));
  return files.filter((file) => !seen.has(file)).map((file) => `${file}: was not cruised`);
}

function misplaced(): string[] {
  const rooms = new Set(FLOORS.flat());
  return files
    .filter((file) => {
      const [, place = "", ...rest] = file.split("/");
      return rest.length === 0 ? !(place in TOP) : !rooms.has(place);
    })
    .map((file) => `${file}: is in no room that the floors name`);
}

function violations(result: ICruiseResult): string[] {
  const comments = new Map(FORBIDDEN.map((rule) => [rule.name, rule.comment]));
  return result.summary.violations.map(({ rule, from, to, cycle }) => {
    const way = cycle ? [from, ...cycle.map((step) => step.name)].join(" → ") : `${from} → ${to}`;
    const comment = comments.get(rule.name);
    return `${rule.name}: ${way}${comment === undefined ? "" : ` (${comment})`}`;
  });
}
