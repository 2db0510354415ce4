import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { totalmem } from "node:os";
import { formatSize, formatSpan, isVaultError } from "#base";
import { driverVersion } from "#storage";
import { failed, ok, warning } from "./check.ts";
import type { Check, Finding, Scene } from "./check.ts";

const MIB = 1024 ** 2;
/** What the Date header rounds off, and a little. */
const CLOCK_LEEWAY_MS = 5_000;
/** Two doors of 4,000 connections each, and what the process itself opens. */
const ENOUGH_DESCRIPTORS = 8_192;
const FEW_DESCRIPTORS = 1_024;
const SMALL_MEMORY = 256 * MIB;

/** What everything else is judged by, and so looked at first. */
export const groundChecks: readonly Check[] = [
  { name: "node", about: "a version that is supported, and its SQLite driver", run: node },
  { name: "clock", about: "not before the last event, and as the vault's", run: clock },
];

export const machineChecks: readonly Check[] = [
  { name: "database", about: "whole, as far as SQLite can tell", only: "sqlite", run: database },
  { name: "descriptors", about: "as many connections as the vault takes", run: descriptors },
  { name: "memory", about: "as much as the settings let the vault use", run: memory },
  { name: "address", about: "free for the vault, or the vault's", run: address },
  { name: "vault", about: "whether it runs, and what it says of itself", run: vault },
];

function node(): Finding {
  try {
    const what = `Node ${process.versions.node}, SQLite ${driverVersion()}`;
    return process.versions.node.startsWith("20.")
      ? warning(`${what}; Node 20 is past its end of life`, "Run the vault with Node 24.")
      : ok(what);
  } catch (error) {
    return failed(
      isVaultError(error) ? error.message : "the SQLite driver cannot be loaded",
      "npm ci, with the Node that runs the vault.",
    );
  }
}

function clock({ now, database: looked, running }: Scene): Finding {
  const newest = looked instanceof Error ? null : (looked?.newestEventAt ?? null);
  const remedy = "Set the clock right, and let it be kept right (NTP).";
  const ahead = newest === null ? 0 : newest.getTime() - now.getTime();
  if (ahead > CLOCK_LEEWAY_MS) return failed(`it is ${formatSpan(ahead)} behind the last event`, remedy);
  const vaults = running?.date ?? null;
  const apart = vaults === null ? 0 : Math.max(0, Math.abs(vaults.getTime() - now.getTime()));
  if (apart > CLOCK_LEEWAY_MS) return failed(`it and the vault's time are ${formatSpan(apart)} apart`, remedy);
  const jumped = Math.abs(Date.now() - (performance.timeOrigin + performance.now()));
  if (jumped > CLOCK_LEEWAY_MS) return warning(`it was moved by ${formatSpan(jumped)} while this ran`, remedy);
  return ok(newest === null ? now.toISOString() : `${now.toISOString()}, after the last event`);
}

function database({ database: looked, running }: Scene): Finding {
  if (looked === null) return ok("none yet: the first start makes it");
  if (looked instanceof Error) {
    const what = isVaultError(looked) ? looked.message : "it cannot be looked at";
    return isVaultError(looked, "schema_unknown")
      ? failed(what, "Put back a copy of the database, or name its folder with --data.")
      : warning(what, "Run this as the vault's user.");
  }
  if (looked.engine !== "sqlite") return ok("with a server");
  const what = `${formatSize(looked.bytes)}, SQLite ${looked.sqlite}`;
  if (looked.damage === null)
    return ok(`${what}; not checked while ${running === null ? "it is large" : "the vault uses it"}`);
  if (looked.damage.length === 0) return ok(`${what}, whole`);
  return failed(
    `${what}, damaged: ${String(looked.damage.length)} faults`,
    "Put back a copy of the database, then run `sallyport audit verify`.",
  );
}

async function descriptors(): Promise<Finding> {
  const limits = await readFile("/proc/self/limits", "utf8").catch(() => "");
  const text = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
  if (text === undefined) return ok("the system does not say how many may be open");
  const most = text === "unlimited" ? Infinity : Number(text);
  const what = `${text} may be open in a process started from here`;
  const remedy = "ulimit -n 65536, or LimitNOFILE=65536 in the unit: each connection takes one.";
  if (most < FEW_DESCRIPTORS) return failed(what, remedy);
  return most < ENOUGH_DESCRIPTORS ? warning(what, remedy) : ok(what);
}

function memory({ config: { maxMemoryMb } }: Scene): Finding {
  const group = process.constrainedMemory();
  const allowed = group > 0 && group < totalmem() ? group : totalmem();
  const what = `${formatSize(allowed)} may be used, and the vault turns requests away from ${String(maxMemoryMb)} MiB on`;
  if (maxMemoryMb * MIB > allowed)
    return failed(what, "Set --max-memory-mb lower: the system would end the vault first.");
  return allowed < SMALL_MEMORY
    ? warning(what, "Give it 256 MiB or more: each password check takes 64 MiB.")
    : ok(what);
}

async function address({ config: { host, port }, running }: Scene): Promise<Finding> {
  const shown = `${host.includes(":") ? `[${host}]` : host}:${String(port)}`;
  if (port === 0) return ok(`any free port of ${host}`);
  const code = await triedToListen(host, port);
  if (code === null) {
    return running === null
      ? ok(`${shown} is free`)
      : warning(
          `a vault runs on this data folder, and not at ${shown}`,
          "Compare `sallyport config` with the settings it was started with.",
        );
  }
  if (code === "EADDRINUSE" && running !== null) return ok(`${shown} is taken, and the vault runs`);
  if (code === "EADDRINUSE")
    return failed(`${shown} is taken by another program`, "End that, or name another address with --listen.");
  if (code === "EACCES") return failed(`this user may not listen on ${shown}`, "Take a port of 1024 or above.");
  return failed(`${shown} is no address of this machine`, "Name one of its addresses with --listen.");
}

function vault({ running }: Scene): Finding {
  if (running === null) return ok("none runs on this data folder");
  const parts = Object.entries(running.checks)
    .map(([name, word]) => `${name} ${word}`)
    .join(", ");
  const what = `it answers after ${String(Math.round(running.ms))} ms: ${parts}`;
  return running.ready ? ok(what) : failed(what, "Its log says more: look for lines of level 40 and above.");
}

/** Listens for an instant; the code of what prevents it, or `null`. */
function triedToListen(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error) => resolve("code" in error ? String(error.code) : "unknown"));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}
