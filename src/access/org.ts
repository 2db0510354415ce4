import { VaultError } from "#base";
import type { Actor } from "#base";
import { Change } from "#storage";
import type { Row, Store } from "#storage";
import { differences } from "./environments.ts";
import type { Guard } from "./guard.ts";

export type OrgView = Row<"orgs"> & Pick<Row<"orgSettings">, "reveal" | "viewerAudit">;

/** The org's own settings, as its members see them and its admins change them. */
export class OrgSettings {
  readonly #guard: Guard;
  readonly #store: Store;

  constructor(guard: Guard, store: Store) {
    this.#guard = guard;
    this.#store = store;
  }

  async get(actor: Actor): Promise<OrgView> {
    const permit = await this.#guard.require(actor, "self", { on: "self" });
    const reader = this.#store.read(permit);
    const [org, settings] = await Promise.all([
      reader.get("orgs", { id: permit.org }),
      reader.get("orgSettings", { id: permit.org }),
    ]);
    if (org === null || settings === null) throw new VaultError("not_found");
    return { ...org, reveal: settings.reveal, viewerAudit: settings.viewerAudit };
  }

  /** `reveal: nobody` is closed by any admin and opened again only by an owner. */
  async update(
    actor: Actor,
    update: { reveal?: "admins" | "nobody" | undefined; viewerAudit?: "scope" | "none" | undefined },
  ): Promise<OrgView> {
    const permit = await this.#guard.require(actor, "org.manage", { on: "org" });
    const reader = this.#store.read(permit);
    const [org, before] = await Promise.all([
      reader.get("orgs", { id: permit.org }),
      reader.get("orgSettings", { id: permit.org }),
    ]);
    if (org === null || before === null) throw new VaultError("not_found");
    const after = {
      ...before,
      reveal: update.reveal ?? before.reveal,
      viewerAudit: update.viewerAudit ?? before.viewerAudit,
    };
    if (before.reveal === "nobody" && after.reveal !== "nobody" && (!("role" in actor) || actor.role !== "owner")) {
      throw new VaultError("forbidden", "Only an owner opens revealing again.", {
        detail: { missing: { permission: "owner.assign", on: "org" } },
      });
    }
    await this.#store.commit(permit, new Change().replace("orgSettings", before, after).raiseEpoch(), {
      result: "success",
      target: { type: "org", id: permit.org, name: org.slug },
      changes: differences(before, after, ["reveal", "viewerAudit"]),
    });
    return { ...org, reveal: after.reveal, viewerAudit: after.viewerAudit };
  }
}
