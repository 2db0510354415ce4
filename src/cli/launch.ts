import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { codeOf } from "#client";

/** How a launch ended, as a shell would say it; `reason` where nothing was started. */
export interface Ended {
  readonly exitCode: number;
  readonly reason: string | null;
}

/** What is passed on to the child. SIGWINCH and the stop signals are not here: the terminal sends them to the child as well. */
const FORWARDED = ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const;
/** What a terminal's keys send (Ctrl-C, Ctrl-\), and send to every process of its foreground group. */
const FROM_KEYS: ReadonlySet<string> = new Set(["SIGINT", "SIGQUIT"]);

const EXIT_NOT_STARTED = 125;
const EXIT_NOT_EXECUTABLE = 126;
const EXIT_NOT_FOUND = 127;
const EXIT_SIGNAL = 128;
/** The system has no room for a process: that is not the command's fault. */
const NO_ROOM: ReadonlySet<string> = new Set(["EAGAIN", "ENOMEM", "EMFILE", "ENFILE"]);

/**
 * Runs a command with exactly this environment and waits for its end: no shell, the arguments untouched, its standard
 * streams this process's own. Signals are passed on; from the first moment, because their handlers are there before the
 * child is, and nothing else runs in between.
 *
 * Exit codes: the child's own; 128+N after signal N; 127 when there is no such command, 126 when it cannot be executed.
 */
export function launch(
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<Ended> {
  return new Promise<Ended>((resolve) => {
    const running: { child: ChildProcess | null } = { child: null };
    const forward = (signal: NodeJS.Signals) => {
      if (!terminalSent(signal)) running.child?.kill(signal);
    };
    for (const signal of FORWARDED) process.on(signal, forward);
    const end = (ended: Ended) => {
      for (const signal of FORWARDED) process.off(signal, forward);
      resolve(ended);
    };
    try {
      const child = spawn(command, args, { stdio: "inherit", shell: false, env: environment });
      running.child = child;
      child.on("error", (error) => {
        // Also emitted when a signal could not be sent; then the child runs, and its end will come.
        if (child.pid === undefined) end(notStarted(error));
      });
      child.on("exit", (code, signal) =>
        end({ exitCode: code ?? EXIT_SIGNAL + (signal === null ? 0 : constants.signals[signal]), reason: null }),
      );
    } catch (error) {
      end(notStarted(error));
    }
  });
}

/**
 * Whether the child has this signal already. It shares our process group, so that it is in the terminal's foreground and
 * can read from it; and keys pressed at that terminal signal the whole group. Passing them on would deliver them twice, and
 * to many programs a second Ctrl-C means "at once, without cleaning up".
 *
 * Node does not say who sent a signal. While our group is the foreground group of our terminal, SIGINT and SIGQUIT are
 * taken to come from its keys; a `kill -INT` of the launcher alone is then not passed on (SIGTERM always is). Without a
 * terminal, or in its background, everything is.
 */
function terminalSent(signal: NodeJS.Signals): boolean {
  return FROM_KEYS.has(signal) && inForeground();
}

function inForeground(): boolean {
  try {
    // proc_pid_stat(5): after the name in parentheses come state, ppid, pgrp, session, tty_nr, tpgid.
    const stat = readFileSync("/proc/self/stat", "utf8");
    const [, , group, , terminal, foreground] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return terminal !== "0" && group === foreground;
  } catch {
    // No /proc here: somebody who has a terminal on a standard stream is most likely sitting at it.
    return process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  }
}

function notStarted(error: unknown): Ended {
  const code = codeOf(error);
  if (code === "ENOENT") return { exitCode: EXIT_NOT_FOUND, reason: "no such command" };
  if (NO_ROOM.has(code)) return { exitCode: EXIT_NOT_STARTED, reason: `it could not be started (${code})` };
  return {
    exitCode: EXIT_NOT_EXECUTABLE,
    reason: code === "E2BIG" ? "its arguments and variables are too large" : `it cannot be executed (${code})`,
  };
}
