import { canary } from "./canary.ts";
import { crash } from "./crash.ts";
import { drain } from "./drain.ts";
import type { Drill } from "./drill.ts";
import { faults } from "./faults.ts";
import { knownAnswers } from "./known-answers.ts";
import { memory } from "./memory.ts";
import { once } from "./once.ts";
import { swap } from "./swap.ts";

/** Every drill there is. */
export const DRILLS: readonly Drill[] = [canary, once, crash, knownAnswers, swap, drain, faults, memory];
