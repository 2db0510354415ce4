/**
 * What the tests are divided into. `npm test` runs what is quick, on each engine; `npm run test:long` the rest; `npm run check`
 * all of it.
 */

/** What takes its time, and why. Files or folders of test/. */
export const LONG: Readonly<Record<string, string>> = {
  "checks/package.test.ts": "packs and installs the package",
  "checks/walls.test.ts": "looks at the imports of every file, with walls broken on purpose",
  "cli/completion.test.ts": "real shells that complete, one process a keystroke",
  "cli/secret-everyday.test.ts": "a process for each command of a person's day",
  "cli/systemd.test.ts": "units of a real systemd",
  "demo.test.ts": "the demo from its beginning to its end",
  "drills/": "short runs of the drills, against processes that are killed and disks that fail",
  "fuzz/": "a server of its own, and wrong input for as long as it is told",
  "http/flood.test.ts": "thousands of connections at a server of its own",
  "http/wire.test.ts": "every way to write a request wrong, on a connection each",
  "injection/formats/": "thousands of values, read back by the programs that the formats are for",
  "injection/race.test.ts": "tokens that many take at the same moment, over and over",
  "ops/doctor.test.ts": "disks, clocks and processes that are not as they should be",
  "postgres/": "database servers that are killed, restarted and followed",
  "settings/effects.test.ts": "a process for each setting, to see that it does something",
  "storage/disk-full.test.ts": "a file system of its own",
  "storage/faults.test.ts": "a disk that fails at each call",
  "supervisor/": "processes that end and are started again",
};

/** What holds on either engine: the store's contract, and whatever is told of access, launches, tenants and the log. */
export const ON_EACH_ENGINE: readonly string[] = [
  "access/",
  "attacks.test.ts",
  "audit/",
  "client/",
  "identity/",
  "injection/",
  "main-job.test.ts",
  "secrets/",
  "storage/contract.test.ts",
  "storage/proof.test.ts",
  "tenants.test.ts",
  "workloads/",
];

/** What is of PostgreSQL alone, and makes its databases itself. */
export const OF_POSTGRES: readonly string[] = [
  "storage/postgres-errors.test.ts",
  "storage/postgres-sessions.test.ts",
  "storage/postgres-tls.test.ts",
  "storage/roles.test.ts",
  "storage/tenants.test.ts",
];

/** As a glob over test/. */
export function globs(names: Iterable<string>): string[] {
  return [...names].map((name) => (name.endsWith("/") ? `test/${name}**/*.test.ts` : `test/${name}`));
}
