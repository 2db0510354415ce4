import { expect, it } from "vitest";
import { faults } from "../../scripts/drills/faults.ts";
import { memory } from "../../scripts/drills/memory.ts";

it(
  "A real server whose disk fails or fills, or whose descriptors run out, loses nothing and recovers without a restart",
  { timeout: 240_000 },
  async ({ skip }) => {
    const { n, failures, said } = await faults.run("small");
    expect(failures).toEqual([]);
    expect(n).toBeGreaterThan(0);
    if (said.skipped !== "") {
      console.warn(`SKIPPED in part: ${String(said.skipped)}`);
      skip(String(said.skipped));
    }
    expect(n).toBe(20);
    expect(said.writes).toBeGreaterThan(20);
    expect(said.granted).toBeGreaterThan(0);
  },
);

it(
  "A real server with too little memory for its flood sheds or is started again, and loses nothing",
  { timeout: 240_000 },
  async () => {
    const { n, failures, said } = await memory.run("small");
    expect(failures).toEqual([]);
    expect(n).toBe(2);
    expect(said["heap: acknowledged"]).toBeGreaterThan(0);
  },
);
