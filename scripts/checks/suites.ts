/**
 * What the tests are divided into. `npm test` runs what is quick, on each engine; `npm run test:long` the rest; `npm run check`
 * all of it.
 */

/** What takes its time, and why. Files or folders of test/. */
export const LONG: Readonly<Record<string, string>> = {
  "drills/": "short runs of the drills, against processes that are killed and disks that fail",
  "fuzz/": "a server of its own and a minute's worth of wrong input",
  "supervisor/": "processes that end and are started again; units of a real systemd",
  "demo.test.ts": "the demo from its beginning to its end",
  "checks/package.test.ts": "packs and installs the package",
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

/** What is of PostgreSQL alone. */
export const OF_POSTGRES: readonly string[] = ["postgres/"];

/** As a glob over test/. */
export function globs(names: Iterable<string>): string[] {
  return [...names].map((name) => (name.endsWith("/") ? `test/${name}**/*.test.ts` : `test/${name}`));
}
