import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { join } from "node:path";
import { send } from "../../test/harness.ts";
import { Findings, pause } from "./drill.ts";
import type { Drill, Size } from "./drill.ts";
import { Ground } from "./ground.ts";
import { SmallDisk, whyNoSmallDisk } from "./small-disk.ts";
import { failCalls, whyNoFailingCalls } from "./syscalls.ts";
import type { FailingCall } from "./syscalls.ts";
import { Witness } from "./witness.ts";

/** Acknowledged operations that show that a vault works. */
const SOME = 10;
const LONGEST_MS = 60_000;

/** Something that happens to the machine of a running vault, and is over again. */
interface Fault {
  readonly name: string;
  /** `refuses`: nothing is acknowledged while it lasts, and `/readyz` says these words. `goes on`: nobody notices. */
  readonly then: { readonly refuses: string } | "goes on";
  /** Returns what ends it. */
  begin(ground: Ground): Promise<() => Promise<void> | void>;
}

const SYNCS = ["fsync", "fdatasync"];
const WRITES = ["pwrite64", "write", "ftruncate"];

function calls(name: string, then: Fault["then"], files: readonly string[], call: Omit<FailingCall, "paths">): Fault {
  return {
    name,
    then,
    begin: (ground) => {
      const paths = files.map((file) => join(ground.folder, "data", file));
      return failCalls(ground.pid, { ...call, paths });
    },
  };
}

const FAULTS: readonly (Fault & { readonly size: Size })[] = [
  {
    size: "small",
    ...calls(
      "the WAL is not synced (EIO)",
      { refuses: "the disk did not confirm what was written" },
      ["vault.db-wal"],
      {
        calls: SYNCS,
        error: "EIO",
      },
    ),
  },
  {
    size: "full",
    ...calls(
      "nothing can be written (EIO)",
      { refuses: "the disk answered with an error" },
      ["vault.db-wal", "vault.db"],
      {
        calls: WRITES,
        error: "EIO",
      },
    ),
  },
  {
    size: "full",
    ...calls(
      "nothing can be written (EROFS)",
      { refuses: "the disk answered with an error" },
      ["vault.db-wal", "vault.db"],
      {
        calls: WRITES,
        error: "EROFS",
      },
    ),
  },
  {
    size: "full",
    ...calls("there is no room (ENOSPC)", { refuses: "the disk is full" }, ["vault.db-wal", "vault.db"], {
      calls: WRITES,
      error: "ENOSPC",
    }),
  },
  {
    size: "full",
    ...calls("the database file is not synced (EIO)", "goes on", ["vault.db"], { calls: SYNCS, error: "EIO" }),
  },
  {
    size: "full",
    ...calls("the checkpoint file cannot be written (EIO)", "goes on", ["checkpoints.log"], {
      calls: [...SYNCS, "write"],
      error: "EIO",
    }),
  },
  { size: "small", name: "no descriptor is left", then: "goes on", begin: (ground) => takeDescriptors(ground) },
];

export const faults: Drill = {
  name: "faults",
  what: "a disk that fails, fills or turns read-only, and descriptors that run out, under load: nothing acknowledged is lost, no value goes without its event, /readyz says why, and it is over without a restart",
  async run(size) {
    const found = new Findings();
    const said: Record<string, number | string> = { writes: 0, granted: 0, skipped: "" };
    const tally = (witness: Witness): void => {
      said.writes = Number(said.writes) + witness.writes;
      said.granted = Number(said.granted) + witness.granted;
    };
    const skip = (what: string, why: string): void => {
      said.skipped = `${String(said.skipped)}${said.skipped === "" ? "" : "; "}${what}: ${why}`;
    };

    const why = whyNoFailingCalls();
    if (why !== null) skip("failing calls", why);
    const chosen = FAULTS.filter(
      (fault) =>
        (size === "full" || fault.size === "small") && (why === null || fault.name === "no descriptor is left"),
    );
    const ground = await Ground.start();
    try {
      await prepare(ground);
      for (const [at, fault] of chosen.entries()) {
        const witness = new Witness(`F${String(at)}`);
        await happens(found, ground, fault, witness, size);
        tally(witness);
      }
    } finally {
      await ground.close();
    }

    const noDisk = whyNoSmallDisk();
    if (noDisk !== null) skip("a disk of its own", noDisk);
    else {
      const disk = SmallDisk.make(24);
      const small = await Ground.start({ parent: disk.folder });
      try {
        await prepare(small);
        const witness = new Witness("FULL");
        await happens(found, small, fullDisk(disk), witness, size);
        tally(witness);
        if (size === "full") await readOnly(found, small, disk, witness);
      } finally {
        await small.close();
        disk.remove();
      }
    }
    return found.report(said);
  },
};

async function prepare(ground: Ground): Promise<void> {
  await ground.write("VALUE", "drill");
  await ground.workload("job", "VALUE");
}

/** One fault under load: begins, is told, ends, is over; and everything acknowledged is there, then and after kill -9. */
async function happens(found: Findings, ground: Ground, fault: Fault, witness: Witness, size: Size): Promise<void> {
  const must = (holds: boolean, what: string): void => {
    found.must(holds, `${fault.name}: ${what}`);
  };
  const grows = async (what: string): Promise<void> => {
    const before = witness.acknowledged;
    must(await until(async () => witness.acknowledged >= before + SOME), what);
  };
  witness.start(ground);
  await grows("nothing was acknowledged before it");
  witness.answers();
  const end = await fault.begin(ground);
  try {
    if (fault.then === "goes on") {
      await grows("nothing was acknowledged while it lasted");
    } else {
      const { refuses } = fault.then;
      let last = "";
      const told = await until(async () => {
        const { status, checks } = await readiness(ground);
        last = `${String(status)} ${checks}`;
        return status === 503 && checks.includes(refuses);
      });
      must(told, `/readyz says ${last}`);
      const before = witness.acknowledged;
      await pause(500);
      must(
        witness.acknowledged === before,
        `${String(witness.acknowledged - before)} were acknowledged while it lasted`,
      );
    }
  } finally {
    await end();
  }
  must(await until(async () => (await readiness(ground)).status === 200), "/readyz does not find that it is over");
  await grows("nothing was acknowledged after it");
  await witness.stop();
  const wrong = Object.keys(witness.answers()).filter((answer) => !EXPECTED.test(answer));
  must(wrong.length === 0, `answered ${wrong.join(", ")}`);
  // What is seen after the kill was there before it; in full, what is seen by the same process counts as well.
  if (size === "full") for (const problem of await witness.check(ground)) must(false, problem);
  await ground.stop("SIGKILL");
  await ground.again();
  const problems = await witness.check(ground);
  must(problems.length === 0, `after kill -9: ${problems.slice(0, 3).join("; ")}`);
}

/** What a client may be told while the machine fails. */
const EXPECTED =
  /^(20[01]|none|401 token_invalid|503 (store_unavailable|overloaded)|500 outcome_unknown|409 conflict)$/;

async function readiness(ground: Ground): Promise<{ status: number; checks: string }> {
  try {
    const { status, text } = await send(ground.url, { method: "GET", path: "/readyz" });
    return { status, checks: text };
  } catch {
    return { status: 0, checks: "no answer" };
  }
}

async function until(holds: () => Promise<boolean>): Promise<boolean> {
  const end = performance.now() + LONGEST_MS;
  while (performance.now() < end) {
    if (await holds()) return true;
    await pause(50);
  }
  return false;
}

/** Lowers the process's limit to what it has open, and a little; then more sockets than that knock. */
async function takeDescriptors(ground: Ground): Promise<() => void> {
  const { pid } = ground;
  const limit = (soft: string): void => {
    execFileSync("prlimit", ["--pid", String(pid), `--nofile=${soft}:`]);
  };
  const before = execFileSync("prlimit", ["--pid", String(pid), "--nofile", "--output", "SOFT", "--noheadings"]);
  limit(String(readdirSync(`/proc/${String(pid)}/fd`).length + 8));
  const { hostname, port } = new URL(ground.url);
  const sockets = Array.from({ length: 40 }, (): Socket => {
    const socket = connect(Number(port), hostname);
    return socket.on("error", () => undefined);
  });
  await pause(300);
  return () => {
    for (const socket of sockets) socket.destroy();
    limit(before.toString().trim());
  };
}

function fullDisk(disk: SmallDisk): Fault {
  return {
    name: "a disk that is full",
    then: { refuses: "the disk is full" },
    begin: async () => {
      disk.fill();
      return () => {
        disk.empty();
      };
    },
  };
}

/** The system makes no file system read-only that a vault writes on; at a start it may be so. */
async function readOnly(found: Findings, ground: Ground, disk: SmallDisk, witness: Witness): Promise<void> {
  const turn = (writable: boolean): boolean => {
    try {
      disk.writable = writable;
      return true;
    } catch {
      return false;
    }
  };
  found.must(!turn(false), "read-only: the file system was taken from a vault at work");
  await ground.stop("SIGTERM");
  found.must(turn(false), "read-only: the file system could not be made so");
  const said = await ground.again().then(
    () => "it started",
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
  found.must(said.includes("cannot be written"), `read-only: a start said ${said}`);
  found.must(turn(true), "read-only: the file system could not be made writable");
  await ground.again();
  const problems = await witness.check(ground);
  found.must(problems.length === 0, `read-only, afterwards: ${problems.slice(0, 3).join("; ")}`);
}
