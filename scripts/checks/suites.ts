/**
 * What the tests are divided into. `npm test` runs what is quick, on each engine; `npm run test:long` the rest; `npm run check`
 * all of it.
 */

/** What takes its time, and why. Files or folders of test/. */
export const LONG: Readonly<Record<string, string>> = {
  "checks/package.test.ts": "packs and installs the package",
  "checks/walls.test.ts": "looks at the imports of every file, with walls broken on purpose",
  "cli/completion.test.ts": "real shells that complete, one process a keystroke",
  "cli/person-alone.test.ts": "a vault of one person, from its first start on, as processes",
  "cli/run.test.ts": "programs that are started, signalled and ended",
  "cli/migrate.test.ts": "copies of a vault that are killed in the middle, at each table",
  "cli/secret-everyday.test.ts": "a process for each command of a person's day",
  "cli/secret-import.test.ts": "files of hundreds of secrets, and a process for each",
  "cli/start.test.ts": "every way in which a start fails, as processes",
  "cli/systemd.test.ts": "units of a real systemd",
  "cli/terminal.test.ts": "people at a terminal, typing",
  "demo.test.ts": "the demo from its beginning to its end",
  "drills/": "short runs of the drills, against processes that are killed and disks that fail",
  "fuzz/": "a server of its own, and wrong input for as long as it is told",
  "http/flood.test.ts": "thousands of connections at a server of its own",
  "http/tls.test.ts": "certificates that are made, renewed and refused, on connections of every kind",
  "http/wire.test.ts": "every way to write a request wrong, on a connection each",
  "injection/formats/": "thousands of values, read back by the programs that the formats are for",
  "injection/race.test.ts": "tokens that many take at the same moment, over and over",
  "ops/move.test.ts": "vaults that are copied whole, interrupted at each batch, and lived in again",
  "ops/doctor.test.ts": "disks, clocks and processes that are not as they should be",
  "postgres/": "database servers that are killed, restarted and followed",
  "settings/effects.test.ts": "a process for each setting, to see that it does something",
  "storage/disk-full.test.ts": "a file system of its own",
  "storage/faults.test.ts": "a disk that fails at each call",
  "storage/roles.test.ts": "database roles with every right too many",
  "storage/tenants.test.ts": "each statement of the store tried on another org's rows",
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

/** Of those, what is quick on SQLite alone: on PostgreSQL it is among the long ones, or says nothing of a store. */
export const LONG_ON_POSTGRES: readonly string[] = [
  "audit/verify.test.ts",
  "client/",
  "identity/",
  "injection/leases.test.ts",
  "secrets/",
  "workloads/",
];
export const WITHOUT_STORE: readonly string[] = ["access/decide.test.ts", "audit/merkle.test.ts", "audit/note.test.ts"];

/** What is of PostgreSQL alone, and makes its databases itself. */
export const OF_POSTGRES: readonly string[] = [
  "storage/postgres-errors.test.ts",
  "storage/postgres-sessions.test.ts",
  "storage/postgres-tls.test.ts",
];

/** As a glob over test/. */
export function globs(names: Iterable<string>): string[] {
  return [...names].map((name) => (name.endsWith("/") ? `test/${name}**/*.test.ts` : `test/${name}`));
}
