import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import { startVault } from "../harness.ts";
import type { Client, TestVault } from "../harness.ts";
import { Folder } from "./process.ts";
import { Tap } from "./tap.ts";

export const DEV = { environment: "dev", namespace: "default" };
export const MINT = "POST /v1/namespaces/default/workloads/default/tokens";
export const EXCHANGE = "POST /v1/exchange";
export const END = "POST /v1/leases/self/end";

/** A machine that launches by itself: one vault with a service user of kind ci, and for each test a line to it and a folder. */
export interface BuildHost {
  readonly vault: TestVault;
  readonly ci: Client;
  readonly tap: Tap;
  readonly folder: Folder;
}

/** To be called once, at the top of a file of tests. `secrets` are in dev. */
export function setUpBuildHost(secrets: Readonly<Record<string, string>>): BuildHost {
  let vault: TestVault;
  let ci: Client;
  let tap: Tap;
  let folder: Folder;

  beforeAll(async () => {
    vault = await startVault();
    ci = await vault.service("builds", "ci");
    for (const [secret, value] of Object.entries(secrets))
      await vault.owner.do("secret.write", { params: { ...DEV, secret }, body: { value } });
  });
  afterAll(() => vault.close());
  beforeEach(async () => {
    tap = await Tap.before(vault.url);
    folder = new Folder();
  });
  afterEach(async () => {
    await tap.close();
    await folder.remove();
  });

  return {
    get vault() {
      return vault;
    },
    get ci() {
      return ci;
    },
    get tap() {
      return tap;
    },
    get folder() {
      return folder;
    },
  };
}
