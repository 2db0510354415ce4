import { describe, expect, it } from "vitest";
import type { Drill } from "../../scripts/drills/drill.ts";
import { nodesCrash } from "../../scripts/drills/nodes-crash.ts";
import { nodesCut } from "../../scripts/drills/nodes-cut.ts";
import { nodesPool } from "../../scripts/drills/nodes-pool.ts";
import { nodesPromotion } from "../../scripts/drills/nodes-promotion.ts";
import { nodes } from "../../scripts/drills/nodes.ts";
import { whyNoDatabase } from "../postgres/database.ts";

const NO_DATABASE = whyNoDatabase();
const CASES: readonly { readonly drill: Drill; readonly least: number; readonly sentence: string }[] = [
  {
    drill: nodes,
    least: 320,
    sentence: "grant each token exactly once, void what was revoked at another, and tell one log in order (R70)",
  },
  {
    drill: nodesCrash,
    least: 10,
    sentence: "lose nothing and grant nothing twice when the database server or one of them is killed, and heal",
  },
  {
    drill: nodesCut,
    least: 30,
    sentence: "say that nobody knows when a connection is cut at COMMIT, and never grant a second time",
  },
  {
    drill: nodesPool,
    least: 160,
    sentence: "refuse in time what a slow database or a held row keeps from being done, and stay healthy",
  },
  {
    drill: nodesPromotion,
    least: 10,
    sentence: "go over to a promoted standby, which has all that was acknowledged",
  },
];

describe.skipIf(NO_DATABASE !== null)("Several nodes on one PostgreSQL database", () => {
  it.each(CASES)("$sentence", { timeout: 600_000 }, async ({ drill, least }) => {
    const { n, failures } = await drill.run("small");
    expect(failures).toEqual([]);
    expect(n).toBeGreaterThanOrEqual(least);
  });
});
