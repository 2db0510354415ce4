/** What a file of secrets holds, in whatever format. */

export const FILE_FORMATS = ["dotenv", "json", "yaml"] as const;
export type FileFormat = (typeof FILE_FORMATS)[number];

/** One name of a file. Without `value` it is about the metadata of a secret that is there. */
export interface FileSecret {
  readonly name: string;
  readonly line: number;
  readonly value?: string;
  readonly encoding?: "utf8" | "base64";
  readonly description?: string;
  readonly tags?: string[];
  readonly owner?: string;
  readonly rotateBy?: string | null;
}

/** What is wrong on a line. It never repeats what stands there: that may be a value. */
export interface FileFault {
  readonly line: number;
  readonly fault: string;
}

export interface FileContent {
  readonly secrets: FileSecret[];
  readonly faults: FileFault[];
}

/** The format that a file's name tells, or `null`. */
export function formatOf(path: string): FileFormat | null {
  if (/(?:^|[/\\])\.env[^/\\]*$|\.env$/.test(path)) return "dotenv";
  if (/\.json$/i.test(path)) return "json";
  return /\.ya?ml$/i.test(path) ? "yaml" : null;
}
