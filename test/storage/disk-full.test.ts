import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Change, startingWith } from "#storage";
import { World } from "./composition.ts";
import { sqlitePlace } from "./sqlite-place.ts";
import { describeUnless } from "../unless.ts";

const BYTES = 4 * 1024 * 1024;

/** A small file system of its own, or why there is none. */
function mountSmall(): { folder: string; why: null } | { folder: null; why: string } {
  const folder = mkdtempSync(join(tmpdir(), "sallyport-small-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${String(BYTES)}`, "none", folder], { stdio: "pipe" });
    return { folder, why: null };
  } catch {
    rmSync(folder, { recursive: true });
    return { folder: null, why: "a small file system cannot be mounted here (it takes root)" };
  }
}

const small = mountSmall();

describeUnless(small.why)("a full disk", () => {
  const mounted = small.folder ?? "";
  const ballast = join(mounted, "ballast");
  let world: World;
  let again: () => Promise<World>;
  const acknowledged = new Map<string, number>();
  let acknowledgedEvents = 0;
  let descriptors = 0;

  const openFiles = () => readdirSync("/proc/self/fd").length;
  const write = async (name: string): Promise<void> => {
    const row = world.namespace(name, { description: "x".repeat(4_000) });
    acknowledged.set(name, (await world.commit(new Change().insert("namespaces", row))).seq);
  };
  const settle = (names: readonly string[]) => Promise.allSettled(names.map(write));

  beforeAll(async () => {
    ({ world, again } = await World.found(await sqlitePlace(mounted)));
  });
  afterAll(async () => {
    await world.close();
    execFileSync("umount", [mounted]);
    rmSync(mounted, { recursive: true });
  });

  it("refuses changes with store_unavailable, and readiness tells", async () => {
    await write("full-first");
    writeFileSync(ballast, Buffer.alloc(0));
    fill(ballast, 300_000);
    let refused: PromiseRejectedResult[] = [];
    for (let round = 0; refused.length === 0; round += 1) {
      const settled = await settle(Array.from({ length: 9 }, (_, at) => `full-${String(round)}-${String(at)}`));
      refused = settled.filter((one) => one.status === "rejected");
    }
    expect(new Set(refused.map((one) => (one.reason as { code: string }).code))).toEqual(
      new Set(["store_unavailable"]),
    );
    // What is left takes a few small ones yet.
    while (
      await world.commit(null).then(
        () => true,
        () => false,
      )
    )
      acknowledgedEvents += 1;
    expect(await world.store.health()).toMatchObject({ writable: false, reason: "the disk is full (SQLITE_FULL)" });
    descriptors = openFiles();
  });

  it("goes on answering reads, and refusing, without leaking a descriptor", async () => {
    for (let round = 0; round < 20; round += 1) {
      const settled = await settle([`still-${String(round)}-a`, `still-${String(round)}-b`]);
      expect(settled.map((one) => one.status)).toEqual(["rejected", "rejected"]);
    }
    expect(openFiles()).toBeLessThanOrEqual(descriptors);
    const rows = await world.facts.of(world.org).list("namespaces", { where: { name: startingWith("full-") } });
    expect(rows.length).toBe(acknowledged.size);
  });

  it("is over without a restart when there is room again, by readiness alone", async () => {
    unlinkSync(ballast);
    await expect.poll(() => world.store.health(), { timeout: 3_000 }).toMatchObject({ writable: true, reason: null });
    await write("after");
  });

  it("is over with the next change that finds room, too", async () => {
    fill(ballast, 0);
    let refused = false;
    for (let round = 0; !refused; round += 1) {
      refused = (await settle([`twice-${String(round)}`])).some((one) => one.status === "rejected");
    }
    unlinkSync(ballast);
    await write("after-twice");
    expect(await world.store.health()).toMatchObject({ writable: true, reason: null });
  });

  it("loses no acknowledged change and keeps none that was refused", async () => {
    await world.close();
    world = await again();
    const reader = world.facts.of(world.org);
    const names = (await reader.list("namespaces")).map((row) => row.name).filter((name) => name !== "default");
    expect(new Set(names)).toEqual(new Set(acknowledged.keys()));
    const events = await reader.list("auditEvents", { order: ["slot", "seq"] });
    expect(events.map((event) => event.seq)).toEqual(events.map((_, at) => at + 1));
    expect(events.length).toBe(Math.max(...acknowledged.values()));
    expect(events.length).toBeGreaterThanOrEqual(acknowledged.size + acknowledgedEvents);
  });

  /** Leaves about `free` bytes. */
  function fill(path: string, free: number): void {
    const used = readdirSync(mounted, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && join(entry.parentPath, entry.name) !== path)
      .reduce((sum, entry) => sum + Math.ceil(statSync(join(entry.parentPath, entry.name)).size / 4_096) * 4_096, 0);
    for (let room = BYTES - used - free; room >= 4_096; room -= 4_096) {
      try {
        writeFileSync(path, Buffer.alloc(room));
        return;
      } catch {
        // Not quite that much: a little less.
      }
    }
  }
});
