import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { idToBytes } from "#base";
import type { Id } from "#base";
import { startVault } from "./harness.ts";
import type { Client, TestVault } from "./harness.ts";
import { keepStore, rawStore } from "./storage/raw-store.ts";
import type { RawStore } from "./storage/raw-store.ts";

/** What a review by an attacker found, each kept from coming back. */
describe("an attacker", () => {
  let vault: TestVault;
  let owner: Client;
  beforeAll(async () => {
    vault = await startVault();
    ({ owner } = vault);
  });
  afterAll(() => vault.close());

  it("who is an admin gets no set-up credential for one who becomes an owner meanwhile (R28)", async () => {
    const admin = await vault.user("ada", "admin");
    let won = 0;
    for (let n = 0; n < 10; n++) {
      const user = `climber${String(n)}`;
      await vault.user(user);
      const [invited, promoted] = await Promise.all([
        admin.try("user.invite", { params: { user } }),
        owner.try("user.update", { params: { user }, body: { role: "owner" } }),
      ]);
      if (invited.status !== 200 || promoted.status !== 200) continue;
      const setUp = await vault.anonymous
        .as(invited.body.setUpToken)
        .try("set-up.complete", { body: { password: "a password of mine" } });
      if (setUp.status === 200) won += 1;
    }
    expect(won).toBe(0);
  });

  it("who was deleted while a body was on its way does nothing with it (R37, R148)", async () => {
    const admin = await vault.user("slow", "admin");
    const { hostname, port } = new URL(vault.url);
    const body = JSON.stringify({ login: "backdoor", role: "admin" });
    const answer = new Promise<string>((resolve) => {
      const socket = connect(Number(port), hostname);
      let text = "";
      socket.on("data", (chunk) => (text += chunk.toString()));
      socket.on("close", () => {
        resolve(text);
      });
      socket.write(
        `POST /v1/users HTTP/1.1\r\nhost: ${hostname}\r\nauthorization: Bearer ${admin.token ?? ""}\r\ncontent-type: application/json\r\ncontent-length: ${String(body.length)}\r\nconnection: close\r\n\r\n${body.slice(0, 5)}`,
      );
      setTimeout(() => {
        void owner.do("user.delete", { params: { user: "slow" } }).then(() => socket.write(body.slice(5)));
      }, 100);
    });
    expect(await answer).toMatch(/^HTTP\/1.1 401 /);
    expect(await owner.code("user.get", { params: { user: "backdoor" } })).toBe("not_found");
  });

  it("who is an agent builds its explicit workload only where it may, and no longer than that (R95)", async () => {
    await owner.do("environment.create", { body: { name: "agent-7" } });
    await owner.do("environment.create", { body: { name: "hidden", mode: "private", localRun: true } });
    const agent = await vault.service("agent-seven", "agent");
    const grant = await owner.do("grant.create", {
      body: { principal: "agent-seven", role: "contributor", environment: "agent-7" },
    });
    const at = { namespace: "default", workload: "tool" };
    await agent.do("workload.create", { params: { namespace: "default" }, body: { name: "tool", access: "explicit" } });
    await agent.do("manifest.save", { params: at, body: { variables: { A: { value: "1" } } } });
    await agent.do("deployment.set", { params: { ...at, environment: "agent-7" }, body: {} });
    for (const environment of ["prod", "hidden", "dev"]) {
      expect([403, 404]).toContain(
        (await agent.try("deployment.set", { params: { ...at, environment }, body: {} })).status,
      );
      expect([403, 404]).toContain((await agent.try("token.mint", { params: at, body: { environment } })).status);
    }
    await owner.do("grant.delete", { params: { id: grant.id } });
    expect(await agent.code("token.mint", { params: at, body: { environment: "agent-7" } })).toBe("not_found");
  });

  it("who is a builder reads no value of an open environment through a launch in another (C22)", async () => {
    await owner.do("environment.create", { body: { name: "staging", mode: "open" } });
    await owner.do("secret.write", {
      params: { environment: "staging", namespace: "default", secret: "STG" },
      body: { value: "staging value" },
    });
    const builder = await vault.user("bob");
    await owner.do("grant.create", { body: { principal: "bob", role: "builder", environment: "staging" } });
    const at = { namespace: "default", workload: "peek" };
    await builder.do("workload.create", { params: { namespace: "default" }, body: { name: "peek" } });
    await builder.do("manifest.save", { params: at, body: { variables: { PEEK: { secret: "staging/default/STG" } } } });
    const minted = await builder.do("token.mint", { params: at, body: { environment: "dev" } });
    expect(minted.bound).toBe(true);
    expect(await vault.anonymous.as(minted.items[0]?.token ?? null).code("token.exchange", { query: {} })).toBe(
      "runner_required",
    );
    // Whoever may take delivery in both places gets it.
    const contributor = await vault.user("carla");
    expect((await contributor.do("token.mint", { params: at, body: { environment: "dev" } })).bound).toBe(false);
  });

  it("who may edit but not deploy or delete in an open environment stops nothing there (C23)", async () => {
    const agent = await vault.service("agent-eight", "agent");
    await owner.do("environment.create", { body: { name: "agent-8" } });
    await owner.do("grant.create", { body: { principal: "agent-eight", role: "contributor", environment: "agent-8" } });
    const at = { namespace: "default", workload: "default" };
    for (let n = 0; n < 110; n++)
      await agent.do("manifest.save", { params: at, body: { variables: { N: { value: String(n) } } } });
    expect((await owner.try("token.mint", { params: at, body: { environment: "dev" } })).status).toBe(201);
    expect(await agent.code("workload.update", { params: at, body: { state: "disabled" } })).toBe("forbidden");
    expect((await owner.try("token.mint", { params: at, body: { environment: "dev" } })).status).toBe(201);
  });

  it("who asks for a format that nobody has makes no error of ours, and uses no token", async () => {
    const headers = { accept: "image/png" };
    expect(await vault.anonymous.as("sp_inj_made_up").code("token.exchange", { query: {}, headers })).toBe(
      "token_invalid",
    );
    const minted = await owner.do("token.mint", {
      params: { namespace: "default", workload: "default" },
      body: { environment: "dev" },
    });
    const bearer = vault.anonymous.as(minted.items[0]?.token ?? null);
    expect(await bearer.code("token.exchange", { query: {}, headers })).toBe("not_acceptable");
    expect((await bearer.try("token.exchange", { query: {} })).status).toBe(200);
  });

  it("is stopped in a workload that is disabled: what was minted and delivered there can still be revoked", async () => {
    const at = { namespace: "default", workload: "incident" };
    await owner.do("workload.create", { params: { namespace: "default" }, body: { name: "incident" } });
    await owner.do("manifest.save", { params: at, body: { variables: { A: { value: "1" } } } });
    const minted = await owner.do("token.mint", { params: at, body: { environment: "dev" } });
    const id = minted.items[0]?.injectionId;
    await owner.do("workload.update", { params: at, body: { state: "disabled" } });
    expect(id === undefined ? null : (await owner.do("injection.revoke", { params: { id } })).state).toBe("revoked");
  });

  it("who writes U+0000 is refused wherever text is kept, and finds nothing by it; the vault goes on", async () => {
    const nul = "a\u0000b";
    const scope = { environment: "dev", namespace: "default" };
    const workload = { namespace: "default", workload: "default" };
    const secret = { params: { ...scope, secret: "NUL" } };
    const kept = [
      await owner.try("namespace.create", { body: { name: "nul", description: nul } }),
      await owner.try("environment.create", { body: { name: "nul", description: nul } }),
      await owner.try("secret.write", { ...secret, body: { value: "x", description: nul } }),
      await owner.try("secret.write", { ...secret, body: { value: "x", owner: nul } }),
      await owner.try("secret.write", { ...secret, body: { value: "x", tags: [nul] } }),
      await owner.try("secret.reveal", { ...secret, body: { reason: `because ${nul}` } }),
      await owner.try("grant.create", { body: { principal: "owner", role: "viewer", reason: `because ${nul}` } }),
      await owner.try("service-user.create", { body: { name: "nul", kind: "ci", description: nul } }),
      await owner.try("service-user.create", { body: { name: "nul", kind: "ci", note: nul } }),
      await owner.try("workload.create", { params: workload, body: { name: "nul", description: nul } }),
      await owner.try("manifest.save", { params: workload, body: { variables: { A: { value: nul } } } }),
      await owner.try("manifest.save", { params: workload, body: { all: true, note: nul } }),
      await owner.try("token.mint", { params: workload, body: { environment: "dev", note: nul } }),
      await owner.try("user.create", { body: { login: nul } }),
      await owner.try("secret.list", { params: scope, query: { prefix: nul } }),
    ];
    expect(kept.map(({ status, body }) => [status, body.code])).toEqual(kept.map(() => [400, "invalid_input"]));
    for (const query of [{ actor: nul }, { target: nul }, { action: nul }])
      expect((await owner.try("audit.list", { query })).status).toBeLessThan(500);
    const tried = await vault.anonymous.try("session.create", { body: { org: "main", login: nul, password: nul } });
    expect(tried.body.code).toBe("sign_in_failed");
    expect((await owner.do("audit.list", { query: { action: "session.create" } })).items[0]?.result).not.toBe(
      "success",
    );
    // A value is bytes, of any kind.
    await owner.do("secret.write", { ...secret, body: { value: nul } });
    expect((await owner.do("secret.reveal", { ...secret, body: { reason: "to compare" } })).value).toBe(nul);
    expect(await owner.do("audit.verify")).toMatchObject({ intact: true });
  });

  it("who holds the instance and is no owner any more holds it no more", async () => {
    await vault.user("second", "owner");
    const second = vault.anonymous.as(
      (
        await vault.anonymous.do("session.create", {
          body: { login: "second", password: "correct horse battery staple", org: "main" },
        })
      ).token,
    );
    await second.do("user.update", { params: { user: "owner" }, body: { role: "guest" } });
    const first = vault.anonymous.as(
      (
        await vault.anonymous.do("session.create", {
          body: { login: "owner", password: "correct horse battery staple", org: "main" },
        })
      ).token,
    );
    expect(await first.code("org.create", { body: { name: "mine", owner: "me" } })).toBe("not_found");
  });
});

/** With the database in hand, while the vault is down. */
describe("somebody who can write the database", () => {
  const edited = async <T>(folder: string, act: (store: RawStore) => Promise<T>): Promise<T> => {
    const store = await rawStore(folder);
    try {
      return await act(store);
    } finally {
      await store.close();
    }
  };
  /** This row as it is now, to be put back later; every column but the key's is replaced. */
  const keep = (folder: string, table: string, id: Buffer): Promise<() => Promise<void>> =>
    edited(folder, async (store) => {
      const [row] = await store.rows(`SELECT * FROM ${table} WHERE id = ?`, id);
      if (row === undefined) throw new Error("there is no such row");
      const places = Object.keys(row).map((name) => `${name} = ?`);
      return () =>
        edited(folder, async (again) => {
          await again.run(`UPDATE ${table} SET ${places.join(", ")} WHERE id = ?`, ...Object.values(row), id);
        });
    });
  const idBytes = (id: string): Buffer => idToBytes(id as Id<"inj">);

  it("gets nothing again from a used token, though the rows of its use are undone (R69)", async () => {
    const folder = await mkdtemp(join(tmpdir(), "sallyport-"));
    let vault = await startVault({ folder });
    await vault.owner.do("secret.write", {
      params: { environment: "dev", namespace: "default", secret: "S" },
      body: { value: "once" },
    });
    const minted = await vault.owner.do("token.mint", {
      params: { namespace: "default", workload: "default" },
      body: { environment: "dev", ttlSeconds: 900 },
    });
    const [{ token, injectionId } = { token: "", injectionId: "" }] = minted.items;
    await vault.close();
    const putBack = await keep(folder, "injections", idBytes(injectionId));
    vault = await startVault({ folder });
    await vault.anonymous.as(token).do("token.exchange", { query: {} });
    await vault.close();
    await putBack();
    const taken = "DELETE FROM exchanges WHERE injection_id = ?";
    expect(await edited(folder, (store) => store.run(taken, idBytes(injectionId)))).toBe(1);
    vault = await startVault({ folder });
    expect(await vault.anonymous.as(token).code("token.exchange", { query: {} })).toBe("token_invalid");
    expect((await vault.owner.do("audit.verify")).intact).toBe(false);
    await vault.close();
    await rm(folder, { recursive: true });
  });

  it("cannot hide an old state that was put back behind the next change of the row", async () => {
    const folder = await mkdtemp(join(tmpdir(), "sallyport-"));
    let vault = await startVault({ folder });
    const params = { environment: "dev", namespace: "default", secret: "S" };
    const { id } = await vault.owner.do("secret.write", { params, body: { value: "old" } });
    await vault.close();
    const putBack = await keep(folder, "secrets", idBytes(id));
    vault = await startVault({ folder });
    await vault.owner.do("secret.write", { params, body: { value: "new" } });
    await vault.close();
    await putBack();
    vault = await startVault({ folder });
    await vault.owner.do("secret.update", { params, body: { description: "as if nothing had been" } });
    const { intact, faults } = await vault.owner.do("audit.verify");
    expect(intact).toBe(false);
    expect(faults.map((fault) => fault.where)).toContain(`row ${id} of secrets`);
    await vault.close();
    await rm(folder, { recursive: true });
  });

  it("does not make the checkpoint file another vault's by changing the instance's name", async () => {
    const folder = await mkdtemp(join(tmpdir(), "sallyport-"));
    let vault = await startVault({ folder });
    await vault.close();
    const putBack = await keepStore(folder);
    vault = await startVault({ folder });
    await vault.owner.do("namespace.create", { body: { name: "later" } });
    await vault.close();
    await putBack();
    const renamed = "UPDATE meta SET value = ? WHERE name = 'instance'";
    expect(await edited(folder, (store) => store.run(renamed, "00".repeat(16)))).toBe(1);
    await expect(startVault({ folder })).rejects.toMatchObject({ code: "database_rolled_back" });
    await rm(folder, { recursive: true });
  });
});
