import { inspect } from "node:util";
import { beforeEach, describe, expect, test } from "vitest";
import { INSTANCE, Redacted } from "#base";
import type { Id } from "#base";
import { Keyring, createIdSource, randomBytes, symmetricKey } from "#crypto";
import type { KeyPurpose, KeySource, RootKey, WrappedKey } from "#crypto";
import { rootKey } from "../../src/crypto/root.ts";
import { unwrapKey, wrapKey } from "../../src/crypto/wrap.ts";
import { Lru } from "../../src/crypto/lru.ts";

const ids = createIdSource({ now: () => new Date(1_700_000_000_000) });
const integrityFailed = { code: "integrity_failed" };
const about = ["value", "DB_URL", 1];

/** Keys in memory, with what a test wants to know of how they were asked for. */
class Keys implements KeySource {
  rows: WrappedKey[] = [];
  readonly finds: Id<"key">[] = [];
  readonly choices: KeyPurpose[] = [];
  readonly reserved = new Map<string, number>();
  failing: Error | null = null;
  /** Runs while an answer is on its way. */
  meanwhile: () => void = () => {};

  async find(org: Id<"org">, id: Id<"key">): Promise<WrappedKey | null> {
    this.finds.push(id);
    const row = this.rows.find((one) => one.org === org && one.id === id) ?? null;
    await this.#travel();
    return row;
  }

  async current(org: Id<"org">, purpose: KeyPurpose, environment: Id<"env"> | null): Promise<WrappedKey | null> {
    this.choices.push(purpose);
    const here = (one: WrappedKey) => one.org === org && one.purpose === purpose && one.environment === environment;
    const row = this.rows.find((one) => here(one) && one.state === "current") ?? null;
    await this.#travel();
    return row;
  }

  async reserve(_org: Id<"org">, id: Id<"key">, count: number): Promise<void> {
    await this.#travel();
    this.reserved.set(id, (this.reserved.get(id) ?? 0) + count);
  }

  replace(id: Id<"key">, change: Partial<WrappedKey>): void {
    this.rows = this.rows.map((row) => (row.id === id ? { ...row, ...change } : row));
  }

  async #travel(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.meanwhile();
    if (this.failing !== null) throw this.failing;
  }
}

interface World {
  readonly keys: Keys;
  readonly keyring: Keyring;
  /** A process that starts later with the same root key and rows. */
  readonly restart: () => Keyring;
  readonly orgA: Id<"org">;
  readonly orgB: Id<"org">;
  readonly dev: Id<"env">;
  readonly prod: Id<"env">;
  readonly other: Id<"env">;
}

let world: World;
beforeEach(async () => {
  const keys = new Keys();
  const secret = randomBytes(32);
  const rootId = ids.next("key");
  const root = (): RootKey => rootKey(rootId, Buffer.from(secret));
  const restart = () => new Keyring(root(), keys, ids);
  const keyring = restart();
  const [orgA, orgB] = [ids.next("org"), ids.next("org")];
  const [dev, prod, other] = [ids.next("env"), ids.next("env"), ids.next("env")];
  const commit = (made: readonly WrappedKey[]) => {
    keys.rows.push(...made);
    keyring.adopt(made);
  };
  commit(keyring.createInstance());
  commit([
    ...keyring.createOrg(orgA),
    await keyring.createDataKey(orgA, dev, 1),
    await keyring.createDataKey(orgA, prod, 1),
  ]);
  commit([...keyring.createOrg(orgB), await keyring.createDataKey(orgB, other, 1)]);
  world = { keys, keyring, restart, orgA, orgB, dev, prod, other };
});

const rowOf = (org: Id<"org">, purpose: KeyPurpose, environment: Id<"env"> | null = null): WrappedKey => {
  const row = world.keys.rows.find(
    (one) => one.org === org && one.purpose === purpose && one.environment === environment,
  );
  if (row === undefined) throw new Error("no such key");
  return row;
};

describe("R65: a value", () => {
  test("sealed in an environment opens there, in this process and after a restart", async () => {
    const { keyring, restart, orgA, dev } = world;
    const { key, sealed } = await keyring.sealValue(orgA, dev, about, new Redacted(Buffer.from("s3cret")));
    expect(key).toBe(rowOf(orgA, "data", dev).id);
    for (const ring of [keyring, restart()]) {
      const opened = await ring.openValue(orgA, dev, about, sealed);
      expect(opened.reveal().toString()).toBe("s3cret");
      expect(inspect(opened)).toBe("[redacted]");
    }
  });

  test("opens under no other associated data, environment or org", async () => {
    const { keyring, restart, orgA, orgB, dev, prod, other } = world;
    const { sealed } = await keyring.sealValue(orgA, dev, about, Buffer.from("s3cret"));
    for (const ring of [keyring, restart()]) {
      await expect(ring.openValue(orgA, dev, ["value", "DB_URL", 2], sealed)).rejects.toMatchObject(integrityFailed);
      await expect(ring.openValue(orgA, prod, about, sealed)).rejects.toMatchObject(integrityFailed);
      await expect(ring.openValue(orgB, dev, about, sealed)).rejects.toMatchObject(integrityFailed);
      await expect(ring.openValue(orgB, other, about, sealed)).rejects.toMatchObject(integrityFailed);
      await expect(ring.openValue(orgA, dev, about, Buffer.alloc(0))).rejects.toMatchObject(integrityFailed);
      await expect(ring.openValue(orgA, dev, about, sealed.subarray(1))).rejects.toMatchObject(integrityFailed);
      await ring.openValue(orgA, dev, about, sealed);
    }
  });

  test("opens without waiting when its key is in memory, with the same refusals", async () => {
    const { keyring, restart, orgA, dev, prod } = world;
    const { sealed } = await keyring.sealValue(orgA, dev, about, Buffer.from("s3cret"));
    const later = restart();
    expect(later.openValueCached(orgA, dev, about, sealed)).toBeNull();
    await later.openValue(orgA, dev, about, sealed);
    expect(later.openValueCached(orgA, dev, about, sealed)?.reveal().toString()).toBe("s3cret");
    expect(() => later.openValueCached(orgA, prod, about, sealed)).toThrow(expect.objectContaining(integrityFailed));
    expect(() => later.openValueCached(orgA, dev, [], sealed)).toThrow(expect.objectContaining(integrityFailed));
    expect(() => later.openValueCached(orgA, dev, about, Buffer.alloc(9))).toThrow(
      expect.objectContaining(integrityFailed),
    );
  });

  test("sealed under a retired generation still opens, and the next is sealed under the new one", async () => {
    const { keys, keyring, restart, orgA, dev } = world;
    const first = await keyring.sealValue(orgA, dev, about, Buffer.from("one"));
    const made = await keyring.createDataKey(orgA, dev, 2);
    keys.replace(first.key, { state: "retired" });
    keys.rows.push(made);
    expect((await keyring.sealValue(orgA, dev, about, Buffer.from("x"))).key).toBe(first.key);
    keyring.adopt([made]);
    const second = await keyring.sealValue(orgA, dev, about, Buffer.from("two"));
    expect(second.key).toBe(made.id);
    const later = restart();
    expect((await later.openValue(orgA, dev, about, first.sealed)).reveal().toString()).toBe("one");
    expect((await later.openValue(orgA, dev, about, second.sealed)).reveal().toString()).toBe("two");
  });

  test("is sealed under the key that another node made current, once the old one is forgotten", async () => {
    const { keys, keyring, restart, orgA, dev } = world;
    const node = restart();
    const { key } = await node.sealValue(orgA, dev, about, Buffer.from("one"));
    const made = await keyring.createDataKey(orgA, dev, 2);
    keys.replace(key, { state: "retired" });
    keys.rows.push(made);
    expect((await node.sealValue(orgA, dev, about, Buffer.from("two"))).key).toBe(key);
    node.forgetCurrent(orgA, dev);
    expect((await node.sealValue(orgA, dev, about, Buffer.from("two"))).key).toBe(made.id);
  });

  test("is not sealed under an answer that was asked for before the key was forgotten", async () => {
    const { keys, keyring, restart, orgA, dev } = world;
    const node = restart();
    const old = rowOf(orgA, "data", dev).id;
    const made = await keyring.createDataKey(orgA, dev, 2);
    keys.meanwhile = () => {
      keys.meanwhile = () => {};
      keys.replace(old, { state: "retired" });
      keys.rows.push(made);
      node.forgetCurrent(orgA, dev);
    };
    await node.sealValue(orgA, dev, about, Buffer.from("asked before"));
    expect((await node.sealValue(orgA, dev, about, Buffer.from("asked after"))).key).toBe(made.id);
  });

  test("is not sealed under a data key that is not committed", async () => {
    const { keyring, orgA } = world;
    const fresh = ids.next("env");
    await keyring.createDataKey(orgA, fresh, 1);
    await expect(keyring.sealValue(orgA, fresh, about, Buffer.from("x"))).rejects.toMatchObject(integrityFailed);
  });
});

describe("A wrapped key", () => {
  test("is 77 bytes that name the key above it", () => {
    const row = rowOf(world.orgA, "data", world.dev);
    expect(row.wrapped).toHaveLength(77);
    expect(row.parent).toBe(rowOf(world.orgA, "org").id);
    expect(rowOf(world.orgA, "mac").parent).toBe(row.parent);
    expect(rowOf(INSTANCE, "mac").parent).toBe(rowOf(INSTANCE, "instance").id);
    expect(rowOf(world.orgA, "org").parent).toBe(rowOf(INSTANCE, "instance").parent);
  });

  test("does not open when anything about it is changed, nor under another parent", () => {
    const parent = symmetricKey(ids.next("key"), randomBytes(32));
    const identity = {
      id: ids.next("key"),
      org: world.orgA,
      environment: world.dev,
      purpose: "data",
      generation: 3,
      parent: parent.id,
    } as const;
    const row: WrappedKey = { ...identity, state: "current", wrapped: wrapKey(parent, identity, randomBytes(32)) };
    expect(unwrapKey(parent, row).id).toBe(identity.id);
    const changes: Partial<WrappedKey>[] = [
      { id: ids.next("key") },
      { org: world.orgB },
      { environment: world.prod },
      { environment: null },
      { purpose: "mac" },
      { purpose: "org" },
      { generation: 2 },
      { parent: ids.next("key") },
      { wrapped: Buffer.concat([row.wrapped, Buffer.alloc(1)]) },
      { wrapped: row.wrapped.subarray(0, 76) },
      ...Array.from(row.wrapped, (byte, at) => ({ wrapped: Buffer.from(row.wrapped.with(at, byte ^ 1)) })),
    ];
    for (const change of changes) {
      expect(() => unwrapKey(parent, { ...row, ...change })).toThrow(expect.objectContaining(integrityFailed));
    }
    const namesake = symmetricKey(parent.id, randomBytes(32));
    expect(() => unwrapKey(namesake, row)).toThrow(expect.objectContaining(integrityFailed));
  });

  test("never opens in the place of another: every two rows swapped, n stated", async () => {
    const { keys, restart, orgA, orgB, dev, prod, other } = world;
    const original = keys.rows;
    let tried = 0;
    for (const one of original) {
      for (const two of original) {
        if (one === two) continue;
        keys.rows = original;
        keys.replace(one.id, { wrapped: two.wrapped });
        const ring = restart();
        const uses: Promise<unknown>[] = [ring.macKey(INSTANCE)];
        for (const [org, environment] of [
          [orgA, dev],
          [orgA, prod],
          [orgB, other],
        ] as const) {
          uses.push(ring.macKey(org), ring.sealValue(org, environment, about, Buffer.from("x")));
        }
        const results = await Promise.allSettled(uses);
        const failed = results.filter((result) => result.status === "rejected");
        expect(failed.length).toBeGreaterThan(0);
        for (const { reason } of failed) expect(reason).toMatchObject(integrityFailed);
        tried += 1;
      }
    }
    expect(tried).toBe(9 * 8);
  });

  test("of another org is not taken, though a row says so", async () => {
    const { keys, keyring, restart, orgA, orgB, dev, other } = world;
    const { sealed } = await keyring.sealValue(orgB, other, about, Buffer.from("s3cret"));
    const theirs = rowOf(orgB, "data", other);
    for (const parent of [theirs.parent, rowOf(orgA, "org").id]) {
      keys.rows.push({ ...theirs, org: orgA, environment: dev, parent });
      await expect(restart().openValue(orgA, dev, about, sealed)).rejects.toMatchObject(integrityFailed);
      keys.rows.pop();
    }
    keys.rows = [
      ...keys.rows.filter(({ purpose, org }) => !(purpose === "mac" && org === orgA)),
      { ...rowOf(orgB, "mac"), org: orgA },
    ];
    await expect(restart().macKey(orgA)).rejects.toMatchObject(integrityFailed);
  });

  test("whose parent is gone, is itself, or is not of the right purpose does not open", async () => {
    const { keys, keyring, restart, orgA, dev } = world;
    const { sealed } = await keyring.sealValue(orgA, dev, about, Buffer.from("s3cret"));
    const data = rowOf(orgA, "data", dev);
    for (const parent of [ids.next("key"), data.id, rowOf(orgA, "mac").id, rowOf(orgA, "org").parent]) {
      keys.replace(data.id, { parent });
      await expect(restart().sealValue(orgA, dev, about, Buffer.from("x"))).rejects.toMatchObject(integrityFailed);
      await expect(restart().openValue(orgA, dev, about, sealed)).rejects.toMatchObject(integrityFailed);
    }
    keys.replace(data.id, { parent: rowOf(orgA, "mac").id });
    keys.replace(rowOf(orgA, "mac").id, { parent: data.id });
    await expect(restart().openValue(orgA, dev, about, sealed)).rejects.toMatchObject(integrityFailed);
    await expect(restart().macKey(orgA)).rejects.toMatchObject(integrityFailed);
  }, 5_000);

  test("is read with the root key that made it and no other", async () => {
    const { keys, orgA } = world;
    const stranger = new Keyring(rootKey(ids.next("key"), randomBytes(32)), keys, ids);
    const namesake = new Keyring(rootKey(rowOf(orgA, "org").parent, randomBytes(32)), keys, ids);
    for (const ring of [stranger, namesake]) {
      await expect(ring.macKey(orgA)).rejects.toMatchObject(integrityFailed);
      await expect(ring.macKey(INSTANCE)).rejects.toMatchObject(integrityFailed);
    }
  });

  test("that is retired is not taken for the current one", async () => {
    const { keys, restart, orgA } = world;
    const mac = rowOf(orgA, "mac");
    keys.current = async () => ({ ...mac, state: "retired" });
    await expect(restart().macKey(orgA)).rejects.toMatchObject(integrityFailed);
  });
});

describe("A MAC key of an org", () => {
  test("is the same after a restart, found as current and by its id", async () => {
    const { keyring, restart, orgA } = world;
    const mac = await keyring.macKey(orgA);
    const tag = mac.sign(Buffer.from("row"));
    const later = restart();
    expect(later.macKeyCached(orgA, mac.id)).toBeNull();
    expect((await later.macKeyById(orgA, mac.id))?.verify(Buffer.from("row"), tag)).toBe(true);
    expect(later.macKeyCached(orgA, mac.id)?.verify(Buffer.from("row"), tag)).toBe(true);
    expect((await later.macKey(orgA)).verify(Buffer.from("row"), tag)).toBe(true);
    expect((await later.macKey(world.orgB)).verify(Buffer.from("row"), tag)).toBe(false);
    expect((await later.macKey(INSTANCE)).verify(Buffer.from("row"), tag)).toBe(false);
  });

  test("is not there for another org, and a data key is not one", async () => {
    const { keyring, restart, orgA, orgB, dev } = world;
    const [mac, data] = [rowOf(orgA, "mac").id, rowOf(orgA, "data", dev).id];
    for (const ring of [keyring, restart()]) {
      expect(await ring.macKeyById(orgB, mac)).toBeNull();
      expect(ring.macKeyCached(orgB, mac)).toBeNull();
      expect(await ring.macKeyById(orgA, ids.next("key"))).toBeNull();
      await expect(ring.macKeyById(orgA, data)).rejects.toMatchObject(integrityFailed);
    }
    expect(() => keyring.macKeyCached(orgA, data)).toThrow(expect.objectContaining(integrityFailed));
  });

  test("proves rows of the same change that stores it, and is the one that is committed", async () => {
    const { keys, keyring, restart } = world;
    const org = ids.next("org");
    const made = keyring.createOrg(org);
    const mac = await keyring.macKey(org);
    keys.rows.push(...made);
    keyring.adopt(made);
    expect((await keyring.macKey(org)).id).toBe(mac.id);
    const tag = mac.sign(Buffer.from("row"));
    expect((await restart().macKey(org)).verify(Buffer.from("row"), tag)).toBe(true);
  });

  test("comes from the store when the change that would have made another failed", async () => {
    const { keys, keyring, restart } = world;
    const org = ids.next("org");
    keyring.createOrg(org);
    const stored = restart().createOrg(org);
    keys.rows.push(...stored);
    expect((await keyring.macKey(org)).id).toBe(stored[1]?.id);
  });
});

describe("Encryptions under a data key", () => {
  test("are reserved in blocks of 1,024 before they are done, however many come at once", async () => {
    const { keys, restart, orgA, dev } = world;
    const ring = restart();
    const { id } = rowOf(orgA, "data", dev);
    await ring.sealValue(orgA, dev, about, Buffer.from("first"));
    expect(keys.reserved.get(id)).toBe(1024);
    const seal = () => ring.sealValue(orgA, dev, about, Buffer.from("x"));
    await Promise.all(Array.from({ length: 1023 }, seal));
    expect(keys.reserved.get(id)).toBe(1024);
    await Promise.all(Array.from({ length: 1500 }, seal));
    expect(keys.reserved.get(id)).toBe(3072);
    await restart().sealValue(orgA, dev, about, Buffer.from("after a restart"));
    expect(keys.reserved.get(id)).toBe(4096);
  });

  test("are not done when they cannot be reserved, and go on when they can again", async () => {
    const { keys, restart, orgA, dev } = world;
    const ring = restart();
    await ring.macKey(orgA);
    keys.reserve = async () => {
      throw new Error("the store cannot be written");
    };
    const attempts = await Promise.allSettled(
      Array.from({ length: 5 }, () => ring.sealValue(orgA, dev, about, Buffer.from("x"))),
    );
    expect(attempts.every(({ status }) => status === "rejected")).toBe(true);
    keys.reserve = () => Promise.resolve();
    await expect(ring.sealValue(orgA, dev, about, Buffer.from("x"))).resolves.toBeDefined();
  });
});

describe("A keyring", () => {
  test("takes the root key over and fills its buffer with zeros", () => {
    const root = rootKey(ids.next("key"), randomBytes(32));
    expect(new Keyring(root, world.keys, ids).sealed).toBe(false);
    expect(root.bytes.equals(Buffer.alloc(32))).toBe(true);
  });

  test("asks the store once for a key that many ask for, and not again", async () => {
    const { keys, keyring, restart, orgA, dev } = world;
    const { sealed } = await keyring.sealValue(orgA, dev, about, Buffer.from("s3cret"));
    const ring = restart();
    keys.finds.length = 0;
    keys.choices.length = 0;
    await Promise.all(Array.from({ length: 50 }, () => ring.openValue(orgA, dev, about, sealed)));
    expect(keys.finds).toEqual([rowOf(orgA, "data", dev).id, rowOf(orgA, "org").id]);
    await Promise.all(Array.from({ length: 50 }, () => ring.macKey(orgA)));
    await ring.macKey(orgA);
    expect(keys.choices).toEqual(["mac"]);
    expect(keys.finds).toHaveLength(2);
  });

  test("passes on that the store failed, and asks again the next time", async () => {
    const { keys, restart, orgA } = world;
    const ring = restart();
    keys.failing = new Error("the store cannot be read");
    await expect(ring.macKey(orgA)).rejects.toThrow("the store cannot be read");
    keys.failing = null;
    await expect(ring.macKey(orgA)).resolves.toBeDefined();
  });

  test("throws sealed from every method after it is closed, also from what was under way", async () => {
    const { keys, keyring, restart, orgA, dev } = world;
    const { sealed, key } = await keyring.sealValue(orgA, dev, about, Buffer.from("s3cret"));
    const slow = restart();
    const underway = [
      slow.macKey(orgA),
      slow.openValue(orgA, dev, about, sealed),
      slow.sealValue(orgA, dev, about, Buffer.from("x")),
    ];
    slow.close();
    for (const result of await Promise.allSettled(underway)) {
      expect(result).toMatchObject({ status: "rejected", reason: { code: "sealed" } });
    }

    keyring.close();
    expect(keyring.sealed).toBe(true);
    const after: (() => unknown)[] = [
      () => keyring.createInstance(),
      () => keyring.createOrg(ids.next("org")),
      () => keyring.createDataKey(orgA, dev, 2),
      () => keyring.adopt(keys.rows),
      () => keyring.macKey(orgA),
      () => keyring.macKeyById(orgA, key),
      () => keyring.macKeyCached(orgA, key),
      () => keyring.sealValue(orgA, dev, about, Buffer.from("x")),
      () => keyring.openValue(orgA, dev, about, sealed),
      () => keyring.openValueCached(orgA, dev, about, sealed),
      () => keyring.forgetCurrent(orgA, dev),
    ];
    for (const call of after) await expect((async () => call())()).rejects.toMatchObject({ code: "sealed" });
    keyring.close();
  });

  test("closed while encryptions are being reserved seals nothing", async () => {
    const { keys, restart, orgA, dev } = world;
    const ring = restart();
    keys.reserve = async () => ring.close();
    await expect(ring.sealValue(orgA, dev, about, Buffer.from("x"))).rejects.toMatchObject({ code: "sealed" });
  });

  test("has no org keys for the instance", () => {
    expect(() => world.keyring.createOrg(INSTANCE)).toThrow(TypeError);
  });

  test("prints none of its keys", () => {
    expect(inspect(world.keyring, { depth: 9, showHidden: true })).not.toMatch(/Buffer|Uint8Array|KeyObject/);
  });

  test("holds a bounded number of keys and lets go of the one least recently used", () => {
    const held = new Lru<string, number>(2);
    held.set("a", 1);
    held.set("b", 2);
    expect(held.get("a")).toBe(1);
    held.set("c", 3);
    expect([held.get("a"), held.get("b"), held.get("c"), held.size]).toEqual([1, undefined, 3, 2]);
    held.set("c", 4);
    expect([held.get("a"), held.get("c"), held.size]).toEqual([1, 4, 2]);
  });
});
