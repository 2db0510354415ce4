import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { Findings, pause } from "./drill.ts";
import type { Drill } from "./drill.ts";
import { Ground } from "./ground.ts";
import { Knocker } from "./knock.ts";
import { Witness } from "./witness.ts";

/** At least: it goes on until something was acknowledged. */
const SECONDS = { small: 2, full: 20 } as const;
const LONGEST_MS = 60_000;
/** V8's heap, in MiB: what an idle vault needs, and little more. */
const HEAP = 36;
/** What the system lets the process take beside what it has after its start, in bytes: less than this flood asks for. */
const RESIDENT = 32 * 1024 * 1024;
const FLOOD = 200;
const VALUE = "x".repeat(64 * 1024 - 1);
const CGROUP = "/sys/fs/cgroup/memory";

export const memory: Drill = {
  name: "memory",
  what: "a vault with too little memory under a flood of the largest values: it sheds, or it dies and is started again, and nothing acknowledged is lost",
  async run(size) {
    const found = new Findings();
    const said: Record<string, number | string> = {};
    await flooded(
      found,
      said,
      "heap",
      SECONDS[size],
      { NODE_OPTIONS: `--max-old-space-size=${String(HEAP)}` },
      () => undefined,
    );
    // A limit on the address space (ulimit -v) says nothing: V8 reserves far more of it than it uses, and does not start.
    if (size === "full") {
      const group = groupOf();
      if (group === null)
        said["limit of the system"] = "skipped: no group of processes can be made here (cgroup v1, root)";
      else {
        try {
          await flooded(found, said, "system", SECONDS[size], {}, (pid) => {
            writeFileSync(`${group}/cgroup.procs`, String(pid));
          });
        } finally {
          await pause(500);
          rmdirSync(group);
        }
      }
    }
    return found.report(said);
  },
};

/** A supervisor, as systemd or a container's would be, over a vault that is flooded. */
async function flooded(
  found: Findings,
  said: Record<string, number | string>,
  limit: string,
  seconds: number,
  env: Record<string, string>,
  confine: (pid: number) => void,
): Promise<void> {
  const ground = await Ground.start({ env });
  const witness = new Witness(limit);
  const answers: Record<string, number> = {};
  let deaths = 0;
  try {
    await ground.write("VALUE", "drill");
    await ground.workload("job", "VALUE");
    const began = performance.now();
    const left = (): number => {
      const most = witness.acknowledged > 0 ? seconds * 1_000 : LONGEST_MS;
      return began + most - performance.now();
    };
    while (left() > 0) {
      confine(ground.pid);
      witness.start(ground);
      const ebb = flood(ground, answers);
      const died = await diedWithin(ground, left);
      await Promise.all([ebb(), witness.stop()]);
      for (const [answer, times] of Object.entries(witness.answers())) answers[answer] = (answers[answer] ?? 0) + times;
      if (!died) break;
      deaths += 1;
      await ground.again();
    }
    // Looking at everything is a flood of its own, which is not what is tried here.
    await ground.stop("SIGKILL");
    await ground.again();
    const problems = await witness.check(ground);
    found.must(problems.length === 0, `${limit}: ${problems.slice(0, 5).join("; ")}`);
    found.must(witness.acknowledged > 0, `${limit}: nothing was acknowledged at all`);
  } finally {
    await ground.close();
  }
  said[`${limit}: acknowledged`] = witness.acknowledged;
  said[`${limit}: granted`] = witness.granted;
  said[`${limit}: deaths`] = deaths;
  said[`${limit}: written by the flood`] = answers["200"] ?? 0;
  said[`${limit}: turned away`] = Object.entries(answers)
    .filter(([answer]) => /^(503|429)/.test(answer))
    .reduce((sum, [, times]) => sum + times, 0);
}

/** Whether the present server ended before there was nothing `left`. */
async function diedWithin({ ended }: Ground, left: () => number): Promise<boolean> {
  const died = ended.then(() => true);
  for (;;) {
    if (await Promise.race([died, pause(50).then(() => false)])) return true;
    if (left() <= 0) return false;
  }
}

/** Many at once who write as much as they may; nobody looks at what became of it. Counts answers. Returns what ends it. */
function flood(ground: Ground, answers: Record<string, number>): () => Promise<void> {
  const knocker = new Knocker(ground.url, FLOOD);
  let running = true;
  const one = async (at: number): Promise<void> => {
    const path = `/v1/environments/dev/namespaces/default/secrets/FLOOD_${String(at)}`;
    while (running) {
      const answer = await knocker.once("PUT", path, ground.ownerToken, { value: VALUE });
      const status = answer === null ? "none" : String(answer.status);
      answers[status] = (answers[status] ?? 0) + 1;
      if (answer?.status !== 200) await pause(50);
    }
  };
  const all = Array.from({ length: FLOOD }, (_, at) => one(at));
  return async () => {
    running = false;
    await Promise.all(all);
    knocker.close();
  };
}

/** A group of processes with a limit on what they hold in memory; `null` where there can be none. */
function groupOf(): string | null {
  const group = `${CGROUP}/sallyport-drill-${String(process.pid)}`;
  try {
    if (!existsSync(`${CGROUP}/cgroup.procs`)) return null;
    mkdirSync(group);
    writeFileSync(`${group}/memory.limit_in_bytes`, String(RESIDENT));
    return group;
  } catch {
    return null;
  }
}
