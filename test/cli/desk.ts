import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import { startVault } from "../harness.ts";
import type { Client, TestVault } from "../harness.ts";
import { surroundings } from "./harness.ts";
import type { Around } from "./harness.ts";
import { Tap } from "./tap.ts";

/** Where a person who keeps secrets sits: one vault, and for each test a line to it, a folder and a namespace of its own. */
export interface Desk {
  readonly owner: Client;
  readonly tap: Tap;
  readonly folder: string;
  readonly namespace: string;
  /** The owner's surroundings. */
  readonly around: Surroundings;
  as(client: Client): Surroundings;
  /** Who may list secrets here, and not write them. */
  builder(): Promise<Client>;
  at(secret: string, environment?: string): { environment: string; namespace: string; secret: string };
  write(name: string, value: string, more?: object, environment?: string): Promise<unknown>;
  valueOf(name: string, environment?: string): Promise<string>;
  names(environment?: string): Promise<readonly string[]>;
}

export type Surroundings = Around & { readonly env: Record<string, string> };

/** To be called once, at the top of a file of tests. */
export function openDesk(): Desk {
  let vault: TestVault;
  let tap: Tap;
  let folder: string;
  let counted = 0;

  beforeAll(async () => {
    vault = await startVault();
  });
  afterAll(() => vault.close());
  beforeEach(async () => {
    tap = await Tap.before(vault.url);
    folder = mkdtempSync(join(tmpdir(), "sallyport-cli-"));
    counted += 1;
    await vault.owner.do("namespace.create", { body: { name: desk.namespace } });
  });
  afterEach(async () => {
    await tap.close();
    rmSync(folder, { recursive: true });
  });

  const at = (secret: string, environment = "dev") => ({ environment, namespace: desk.namespace, secret });
  const desk: Desk = {
    get owner() {
      return vault.owner;
    },
    get tap() {
      return tap;
    },
    get folder() {
      return folder;
    },
    get namespace() {
      return `ns-${String(counted)}`;
    },
    get around() {
      return desk.as(vault.owner);
    },
    as: ({ token }) => ({
      env: surroundings(folder, {
        SALLYPORT_ADDRESS: tap.url,
        SALLYPORT_TOKEN: token ?? "",
        SALLYPORT_NAMESPACE: desk.namespace,
      }),
      folder,
    }),
    async builder() {
      const login = `bea-${desk.namespace}`;
      const client = await vault.user(login);
      const { namespace } = desk;
      await vault.owner.do("grant.create", { body: { principal: login, role: "builder", namespace } });
      return client;
    },
    at,
    write: (name, value, more = {}, environment = "dev") =>
      vault.owner.do("secret.write", { params: at(name, environment), body: { value, ...more } }),
    async valueOf(name, environment = "dev") {
      const body = { reason: "a test" };
      const { value, encoding } = await vault.owner.do("secret.reveal", { params: at(name, environment), body });
      return Buffer.from(value, encoding).toString();
    },
    async names(environment = "dev") {
      const { items } = await vault.owner.do("secret.list", { params: { environment, namespace: desk.namespace } });
      return items.map(({ name }) => name);
    },
  };
  return desk;
}
