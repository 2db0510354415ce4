import { expect, it } from "vitest";
import { swap } from "../../scripts/drills/swap.ts";

it(
  "Rows swapped, moved, renamed or put back in the file never open and never grant",
  { timeout: 240_000 },
  async () => {
    const { failures, said } = await swap.run("small");
    expect(failures).toEqual([]);
    expect(said.pairs).toBe(6);
  },
);
