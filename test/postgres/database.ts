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

/** A new database that is migrated already: a copy of one that the run has made. The caller removes it. */
export async function migratedDatabase(): Promise<VaultDatabase> {
  const { facts, template } = await ask();
  return createVaultDatabase(facts, { template });
}

/** How to reach the server of this run. It is every test's: whoever stops or reconfigures one starts their own. */
export async function postgresFacts(): Promise<PostgresFacts> {
  return (await ask()).facts;
}

let asked: Promise<Extract<PostgresAnswer, { facts: unknown }>> | null = null;

function ask(): Promise<Extract<PostgresAnswer, { facts: unknown }>> {
  const source = inject("postgres");
  if ("missing" in source) throw new Error(source.missing);
  asked ??= text(connect(source.socket)).then((line) => {
    const answer = JSON.parse(line) as PostgresAnswer;
    if ("fault" in answer) throw new Error(answer.fault);
    return answer;
  });
  return asked;
}
