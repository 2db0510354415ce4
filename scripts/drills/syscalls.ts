import { execFileSync, spawn } from "node:child_process";

/** What the system answers to which calls, on which files; all files where none are named. */
export interface FailingCall {
  readonly calls: readonly string[];
  readonly error: "EIO" | "EROFS" | "ENOSPC" | "EMFILE";
  readonly paths: readonly string[];
}

/** Why system calls of another process cannot be made to fail here; `null` where they can. */
export function whyNoFailingCalls(): string | null {
  try {
    execFileSync("strace", ["-f", "-o", "/dev/null", "-e", "inject=chdir:error=EIO", "true"], { stdio: "pipe" });
    return null;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ENOENT"
      ? "strace is not installed"
      : "strace may not trace processes here";
  }
}

/**
 * Makes a running process's calls fail, by strace, until the returned function is called.
 * The faults are the real ones for the process: its own calls, answered by the system's own numbers.
 */
export async function failCalls(pid: number, { calls, error, paths }: FailingCall): Promise<() => Promise<void>> {
  const set = calls.join(",");
  const tracer = spawn(
    "strace",
    [
      ...["-f", "-p", String(pid), "-o", "/dev/null", "-e", `trace=${set}`, "-e", `inject=${set}:error=${error}`],
      ...paths.flatMap((path) => ["-P", path]),
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  const ended = new Promise<void>((resolve) => tracer.once("close", () => resolve()));
  let said = "";
  await new Promise<void>((resolve, reject) => {
    tracer.once("error", reject);
    tracer.stderr.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes("attached")) resolve();
    });
    void ended.then(() => {
      reject(new Error(`strace ended: ${said}`));
    });
  });
  return async () => {
    // Detaches; the process goes on.
    tracer.kill("SIGINT");
    await ended;
  };
}
