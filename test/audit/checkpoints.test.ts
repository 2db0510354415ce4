import { randomInt } from "node:crypto";
import { mkdtemp, readFile, rm, stat, truncate, writeFile, appendFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { INSTANCE } from "#base";
import { createSigner, generateSigningKey } from "#crypto";
import type { Facts } from "#storage";
import { formatCheckpoint, formatVerifierKey, openNote, parseCheckpoint, parseVerifierKey, signNote } from "#audit";
import { startVault } from "../harness.ts";
import { keepStore } from "../storage/raw-store.ts";
import { Chain } from "./chain.ts";

describe("checkpoints", () => {
  let chain: Chain;
  beforeEach(async () => {
    chain = await Chain.make();
  });
  afterEach(() => chain.close());

  const lines = async () => (await readFile(chain.file, "utf8")).split("\n").slice(0, -1);
  const reader = () => chain.world.facts.of(chain.world.org);

  it("sign how long each chain is and its root, in the file and in the database alike", async () => {
    await chain.grow(5);
    await chain.checkpoints.run();
    // Nothing has grown since: nothing to sign.
    await chain.checkpoints.run();
    const [line = "", ...more] = await lines();
    expect(more).toEqual([]);
    const { chain: of, note } = JSON.parse(line) as { chain: string; note: string };
    expect(of).toBe(chain.world.org);
    const opened = openNote(note, [chain.checkpoints.verifier]);
    const stated = parseCheckpoint(opened?.text ?? "");
    expect(stated).toMatchObject({
      origin: `sallyport/test/${chain.world.org}/0`,
      size: await reader().count("auditEvents"),
    });
    const [row] = await reader().list("auditCheckpoints");
    expect(row).toMatchObject({ size: stated?.size, note });
    expect(row?.root.equals(stated?.root ?? Buffer.alloc(0))).toBe(true);
    expect((await stat(chain.file)).mode & 0o777).toBe(0o600);
    expect((await chain.checkpoints.newest(chain.world.org))?.size).toBe(stated?.size);
  });

  it("are in the file, whole, before they are in the database", async () => {
    const seen: string[][] = [];
    const watched: Facts = {
      slot: chain.world.facts.slot,
      slots: () => chain.world.facts.slots(),
      of: (org) => chain.world.facts.of(org),
      touch: (...args) => chain.world.facts.touch(...args),
      count: (...args) => chain.world.facts.count(...args),
      prune: (...args) => chain.world.facts.prune(...args),
      async append(org, table, row) {
        seen.push(await lines());
        expect(seen.at(-1)?.at(-1)).toBe(JSON.stringify({ chain: org, note: (row as { note: string }).note }));
        await chain.world.facts.append(org, table, row);
      },
    };
    const checkpoints = chain.open(watched);
    await checkpoints.start();
    await chain.grow(2);
    checkpoints.grown(chain.world.org, 0);
    await checkpoints.stop();
    expect(seen.map((one) => one.length)).toEqual([1, 2, 3, 4]);
    expect(chain.faults).toEqual([]);
  });

  it("are signed again after a crash between the file and the database, without a fault", async () => {
    const crashing: Facts = {
      slot: chain.world.facts.slot,
      slots: () => chain.world.facts.slots(),
      of: (org) => chain.world.facts.of(org),
      touch: (...args) => chain.world.facts.touch(...args),
      count: (...args) => chain.world.facts.count(...args),
      prune: (...args) => chain.world.facts.prune(...args),
      append: () => Promise.reject(new Error("the machine stops here")),
    };
    const checkpoints = chain.open(crashing);
    checkpoints.grown(chain.world.org, 0);
    await checkpoints.run();
    expect(chain.faults).toHaveLength(1);
    expect(await lines()).toHaveLength(1);
    expect(await reader().count("auditCheckpoints")).toBe(0);
    await chain.checkpoints.start();
    await chain.checkpoints.stop();
    expect(await chain.verify()).toMatchObject({ intact: true });
    expect(await reader().count("auditCheckpoints")).toBe(1);
  });

  it("go on with the other chains when one cannot be signed", async () => {
    await chain.during(async () => {
      await chain.set(1, { id: Buffer.of(1) });
      for (const org of [chain.world.org, chain.world.other]) chain.checkpoints.grown(org, 0);
      await chain.checkpoints.run();
      expect(chain.faults).toHaveLength(1);
      expect((await lines()).map((line) => (JSON.parse(line) as { chain: string }).chain)).toEqual([chain.world.other]);
    });
    await chain.checkpoints.run();
    expect(chain.faults).toHaveLength(1);
    expect(await lines()).toHaveLength(2);
  });

  it("sign what the events are, though the tree's edge in the database was changed", async () => {
    await chain.checkpoints.start();
    await chain.grow(7);
    const [first] = await chain.rows("SELECT frontier FROM audit_checkpoints ORDER BY size LIMIT 1");
    for (const frontier of [Buffer.alloc(9), Buffer.of(1), first?.frontier ?? null]) {
      await chain.run("UPDATE audit_checkpoints SET frontier = ? WHERE org_id = ?", frontier, chain.org);
      await chain.grow(3);
      await chain.checkpoints.run();
    }
    expect(await chain.verify()).toMatchObject({ intact: true });
    await chain.checkpoints.stop();
    expect(chain.faults).toEqual([]);
  });

  describe("the file", () => {
    beforeEach(async () => {
      await chain.checkpoints.start();
      for (let at = 0; at < 3; at += 1) {
        await chain.grow(3);
        await chain.checkpoints.run();
      }
    });
    afterEach(() => chain.checkpoints.stop());

    it("may end in a line that a crash cut short, anywhere in it", async () => {
      const whole = await readFile(chain.file);
      const [last = ""] = (await lines()).slice(-1);
      const n = 10;
      for (let round = 0; round < n; round += 1) {
        await truncate(chain.file, whole.length - 1 - randomInt(last.length));
        expect(await chain.verify()).toMatchObject({ intact: true });
        const next = chain.open();
        await next.start();
        await next.stop();
        expect(await chain.verify()).toMatchObject({ intact: true });
        // What is signed next stands on a line of its own, and nothing is left of the torn one.
        await chain.grow(1);
        next.grown(chain.world.org, 0);
        await next.stop();
        expect(await chain.verify()).toMatchObject({ intact: true });
        expect((await chain.checkpoints.kept(chain.world.org)).notes.at(-1)?.size).toBe(
          await reader().count("auditEvents"),
        );
        await writeFile(chain.file, whole);
      }
      expect(chain.faults).toEqual([]);
    });

    it("does not cut off what is not a checkpoint's beginning", async () => {
      await appendFile(chain.file, "a note that somebody made");
      await chain.grow(1);
      await chain.checkpoints.run();
      expect(await lines()).toContain("a note that somebody made");
      const { faults } = await chain.verify();
      expect(faults).toEqual([
        {
          where: `line ${String((await lines()).length - 1)} of the checkpoint file`,
          what: "is no checkpoint of ours",
        },
      ]);
    });

    it("does not lose a note in silence: any one changed byte of a line is a fault of that line", async () => {
      const whole = await readFile(chain.file);
      const n = 60;
      for (let round = 0; round < n; round += 1) {
        const changed = Buffer.from(whole);
        const place = randomInt(whole.length - 1);
        if (changed[place] === 0x0a) continue;
        changed[place]! ^= 1 << randomInt(7);
        if (changed[place] === 0x0a) continue;
        await writeFile(chain.file, changed);
        const line = whole.subarray(0, place).toString("latin1").split("\n").length;
        const faults = [];
        for (const org of [INSTANCE, chain.world.org, chain.world.other])
          faults.push(...(await chain.checkpoints.kept(org)).faults);
        expect([place, faults.map((one) => one.where)]).toEqual([
          place,
          expect.arrayContaining([`line ${String(line)} of the checkpoint file`]),
        ]);
      }
      await writeFile(chain.file, whole);
      expect((await chain.verify()).faults).toEqual([]);
    });

    it("says so when a line is another vault's, or of another chain than it claims", async () => {
      const mallory = createSigner("sallyport/test", generateSigningKey());
      const forged = signNote(
        formatCheckpoint({
          origin: `sallyport/test/${chain.world.org}/0`,
          size: 1,
          root: Buffer.alloc(32),
          extensions: [],
        }),
        mallory,
      );
      const [, , , otherLine = ""] = await lines();
      const relabelled = JSON.stringify({ ...(JSON.parse(otherLine) as object), chain: chain.world.other });
      const whole = await readFile(chain.file);
      for (const [line, what] of [
        [JSON.stringify({ chain: chain.world.org, note: forged }), "its signature is not ours"],
        [relabelled, "is no checkpoint of ours"],
        [JSON.stringify({ chain: "org_x", note: forged }), "is no checkpoint of ours"],
        [JSON.stringify({ chain: chain.world.org, note: 5 }), "is no checkpoint of ours"],
        ["null", "is no checkpoint of ours"],
        ["[]", "is no checkpoint of ours"],
        ["", "is no checkpoint of ours"],
      ] as const) {
        await appendFile(chain.file, `${line}\n`);
        expect((await chain.verify()).faults.map((one) => one.what)).toEqual([what]);
        // The start does not stumble over it either.
        const next = chain.open();
        await next.start();
        await next.stop();
        await writeFile(chain.file, whole);
      }
      expect(chain.faults).toEqual([]);
    });

    it("refuses the start of a database that holds fewer events than were signed, or others", async () => {
      const fewer = await chain.event(await reader().count("auditEvents"));
      await chain.during(async () => {
        await chain.run("DELETE FROM audit_events WHERE org_id = ? AND seq = ?", chain.org, fewer.seq);
        await chain.run("DELETE FROM audit_checkpoints WHERE org_id = ? AND size >= ?", chain.org, fewer.seq);
        await expect(chain.open().start()).rejects.toMatchObject({ code: "database_rolled_back" });
      });
      await chain.during(async () => {
        await chain.set(fewer.seq, { hash: Buffer.alloc(32, 1) });
        await chain.run("DELETE FROM audit_checkpoints WHERE org_id = ?", chain.org);
        await expect(chain.open().start()).rejects.toMatchObject({ code: "database_rolled_back" });
      });
      await chain.during(async () => {
        // Even when the last line does not verify, the one before it counts.
        await chain.run("DELETE FROM audit_events WHERE org_id = ?", chain.org);
        await chain.run("DELETE FROM audit_checkpoints WHERE org_id = ?", chain.org);
        const whole = await readFile(chain.file, "utf8");
        await writeFile(chain.file, whole.replace(/(.*)time /s, "$1Time "));
        await expect(chain.open().start()).rejects.toMatchObject({ code: "database_rolled_back" });
        await writeFile(chain.file, whole);
      });
      const next = chain.open();
      await next.start();
      await next.stop();
    });
  });
});

describe("a vault and its checkpoints", () => {
  it("signs notes that the key in keys/checkpoint.pub opens, and no other", async () => {
    const folder = await mkdtemp(join(tmpdir(), "sallyport-signed-"));
    // What has grown is signed at the end of a process at the latest.
    await (await startVault({ folder })).close();
    const vault = await startVault({ folder });
    const { items, verifierKey } = await vault.owner.do("audit.checkpoints", { query: {} });
    const published = (await readFile(join(vault.folder, "keys", "checkpoint.pub"), "utf8")).trim();
    expect(published).toBe(verifierKey);
    const verifier = parseVerifierKey(published);
    if (verifier === null) throw new Error("the published key cannot be read");
    const [newest] = items;
    if (newest === undefined) throw new Error("there is a checkpoint");
    expect(openNote(newest.note, [verifier])?.verifiedBy).toEqual([verifier.name]);
    const stranger = parseVerifierKey(
      formatVerifierKey(verifier.name, createSigner(verifier.name, generateSigningKey()).publicKey),
    );
    if (stranger === null) throw new Error("a key of ours cannot be read");
    expect(openNote(newest.note, [stranger])).toBeNull();
    const inFile = (await readFile(join(vault.folder, "data", "checkpoints.log"), "utf8")).trim().split("\n");
    for (const line of inFile) expect(openNote((JSON.parse(line) as { note: string }).note, [verifier])).not.toBeNull();
    expect(inFile.map((line) => (JSON.parse(line) as { note: string }).note)).toContain(newest.note);
    await vault.close();
    await rm(folder, { recursive: true });
  });

  it("refuses to start on a database that is older than its checkpoint file, and starts on the newest again", async () => {
    const folder = await mkdtemp(join(tmpdir(), "sallyport-rolled-"));
    let vault = await startVault({ folder });
    await vault.close();
    const older = await keepStore(folder);
    vault = await startVault({ folder });
    await vault.owner.do("namespace.create", { body: { name: "later" } });
    await vault.close();
    const newer = await keepStore(folder);
    await older();
    await expect(startVault({ folder })).rejects.toMatchObject({
      code: "database_rolled_back",
      message: expect.stringContaining("checkpoints.log"),
    });
    // The refusal lets go of the folder, and of nothing in it.
    await newer();
    vault = await startVault({ folder });
    expect(await vault.owner.do("audit.verify")).toMatchObject({ intact: true });
    await vault.close();
    await rm(folder, { recursive: true });
  });
});
