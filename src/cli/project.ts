import { readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { NAME } from "#base";
import { usage } from "./error.ts";

/**
 * What a project's folder says about its launches, in `.sallyport.json`:
 *
 *     { "environment": "staging", "namespace": "data-pipelines", "workload": "etl" }
 *
 * Never an address or a credential: a repository that was cloned must not choose where values are sent.
 */
export interface Project {
  readonly environment: string | null;
  readonly namespace: string | null;
  readonly workload: string | null;
}

const FILE = ".sallyport.json";
const FIELDS = ["environment", "namespace", "workload"] as const;
const NOTHING: Project = { environment: null, namespace: null, workload: null };

/**
 * The project of this folder or the nearest above. A file that belongs to another user than root is passed over, so that
 * nobody steers others from a shared folder.
 */
export function readProject(folder: string): Project {
  const user = process.getuid?.();
  for (let here = folder; ; here = dirname(here)) {
    const path = join(here, FILE);
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat?.isFile() === true && (user === undefined || stat.uid === user || stat.uid === 0)) {
      // Not of a group: git makes its files with what the umask leaves, and only names stand here.
      if ((stat.mode & 0o002) !== 0) throw usage(`Everybody may write ${path}: chmod o-w it, or delete it.`);
      return parse(path);
    }
    if (here === dirname(here)) return NOTHING;
  }
}

function parse(path: string): Project {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, "utf8"));
  } catch {
    throw usage(`${path} is not JSON.`);
  }
  if (typeof content !== "object" || content === null || Array.isArray(content))
    throw usage(`${path} does not hold an object.`);
  const project: Record<keyof Project, string | null> = { ...NOTHING };
  for (const [field, value] of Object.entries(content)) {
    const known = FIELDS.find((name) => name === field);
    if (known === undefined) throw usage(`${path}: “${field}” is not one of ${FIELDS.join(", ")}.`);
    if (typeof value !== "string" || !NAME.test(value)) throw usage(`${path}: “${field}” does not hold a name.`);
    project[known] = value;
  }
  return project;
}
