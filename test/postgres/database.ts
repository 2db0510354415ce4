/**
 * Databases for tests, on the one server of the run.
 */
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { inject } from "vitest";
import type { PostgresAnswer } from "./global-setup.ts";
import { createVaultDatabase } from "./roles.ts";
import type { VaultDatabase } from "./roles.ts";
import type { PostgresFacts } from "./server.ts";

/** Why the tests that need PostgreSQL cannot run; null where they can. The reason is for `context.skip(…)`. */
export function whyNoDatabase(): string | null {
  const source = inject("postgres");
  return "missing" in source ? source.missing : null;
}

/** A new database on the server of this run, which starts with the first. The caller removes it. */
export async function postgresDatabase(options: { readonly template?: string } = {}): Promise<VaultDatabase> {
  return createVaultDatabase(await postgresFacts(), options);
}

/** How to reach the server of this run. It is every test's: whoever stops or reconfigures one starts their own. */
export async function postgresFacts(): Promise<PostgresFacts> {
  const source = inject("postgres");
  if ("missing" in source) throw new Error(source.missing);
  const answer = JSON.parse(await text(connect(source.socket))) as PostgresAnswer;
  if ("fault" in answer) throw new Error(answer.fault);
  return answer.facts;
}
