/**
 * One PostgreSQL server for a run of the tests, started when the first test asks for it: a run that needs none pays
 * nothing.
 *
 * The tests are in other processes. They ask on a socket in a folder that is this user's alone, and get the server's
 * facts, or why there are none, as one line of JSON.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { testedEngines } from "../../scripts/checks/engines.ts";
import { whyNoPostgres } from "./binaries.ts";
import { migrateDatabase, readAddress } from "#storage";
import { createRoles, createVaultDatabase } from "./roles.ts";
import { PostgresServer } from "./server.ts";
import type { PostgresFacts } from "./server.ts";

/** Where to ask for the server, or why there is none to ask for. */
export type PostgresSource = { readonly socket: string } | { readonly missing: string };

/** With the name of a migrated database, to copy. */
export type PostgresAnswer = { readonly facts: PostgresFacts; readonly template: string } | { readonly fault: string };

declare module "vitest" {
  interface ProvidedContext {
    postgres: PostgresSource;
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const missing = testedEngines().includes("postgres") ? whyNoPostgres() : "ENGINES does not name postgres";
  if (missing !== null) {
    project.provide("postgres", { missing });
    return async () => {};
  }

  const folder = await mkdtemp(join(tmpdir(), "sallyport-tests-"));
  await chmod(folder, 0o700);
  let starting: Promise<{ server: PostgresServer; template: string }> | null = null;
  const door = createServer((socket) => {
    const start = async (): Promise<{ server: PostgresServer; template: string }> => {
      const server = await PostgresServer.start();
      try {
        await createRoles(server);
        const { name, ownerUrl } = await createVaultDatabase(server.facts());
        await migrateDatabase(readAddress(ownerUrl));
        return { server, template: name };
      } catch (error) {
        await server.remove();
        throw error;
      }
    };
    starting ??= start();
    starting
      .then<PostgresAnswer, PostgresAnswer>(
        ({ server, template }) => ({ facts: server.facts(), template }),
        (error: unknown) => ({ fault: String(error) }),
      )
      .then((answer) => socket.on("error", () => undefined).end(`${JSON.stringify(answer)}\n`))
      .catch(() => socket.destroy());
  });
  const socket = join(folder, "postgres");
  await new Promise<void>((resolve, reject) => door.once("error", reject).listen(socket, resolve));
  project.provide("postgres", { socket });

  return async () => {
    await new Promise((resolve) => door.close(resolve));
    const started = await starting?.catch(() => null);
    await started?.server.remove();
    await rm(folder, { recursive: true, force: true });
  };
}
