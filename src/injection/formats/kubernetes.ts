import type { Format } from "./format.ts";

/** The name of a workload as that of a Secret: these have `_` in no place, and `-` not at the end. */
export function secretNameOf(workload: string): string {
  return workload.replaceAll("_", "-").replace(/-+$/, "");
}

/** The most that the API server takes of one Secret (MaxSecretSize), in bytes of its values. */
const MOST_BYTES = 1024 * 1024;

/**
 * A Secret for `kubectl apply -f -` (core/v1, `data`): any bytes, in base64. Every name of a variable is a key that a Secret
 * can have; it is quoted, because YAML 1.1 reads NO and Y as truth values.
 *
 * ```
 * apiVersion: v1
 * kind: Secret
 * metadata:
 *   name: "etl"
 *   namespace: "jobs"
 * type: Opaque
 * data:
 *   "DB_URL": "cG9zdGdyZXM6Ly8="
 * ```
 */
export const kubernetes: Format = {
  cannot: [],
  cannotTogether: (entries) => {
    let bytes = 0;
    return entries.flatMap(({ name, value }) => {
      bytes += value.length;
      return bytes > MOST_BYTES
        ? [{ variable: name, reason: "with it the values hold more than the 1 MiB that a Kubernetes Secret takes" }]
        : [];
    });
  },
  write: (entries, { name, namespace }) => {
    const data = entries.map((entry) => `  "${entry.name}": "${entry.value.toString("base64")}"\n`).join("");
    return Buffer.from(
      `apiVersion: v1\nkind: Secret\nmetadata:\n  name: "${name}"\n` +
        (namespace === null ? "" : `  namespace: "${namespace}"\n`) +
        `type: Opaque\ndata:${data === "" ? " {}\n" : `\n${data}`}`,
    );
  },
};
