import { canary } from "./canary.ts";
import { crash } from "./crash.ts";
import { drain } from "./drain.ts";
import type { Drill } from "./drill.ts";
import { faults } from "./faults.ts";
import { knownAnswers } from "./known-answers.ts";
import { memory } from "./memory.ts";
import { nodesCrash } from "./nodes-crash.ts";
import { nodesCut } from "./nodes-cut.ts";
import { nodesPool } from "./nodes-pool.ts";
import { nodesPromotion } from "./nodes-promotion.ts";
import { nodes } from "./nodes.ts";
import { once } from "./once.ts";
import { swap } from "./swap.ts";

/** On PostgreSQL, several nodes. */
const NODES: readonly Drill[] = [nodes, nodesCrash, nodesCut, nodesPool, nodesPromotion];

/** Every drill there is. */
export const DRILLS: readonly Drill[] = [canary, once, crash, knownAnswers, swap, drain, faults, memory, ...NODES];
