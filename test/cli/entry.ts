import { runCli } from "#cli";

/** The command line as a process of its own. */
process.exitCode = await runCli(process.argv.slice(2), {
  up: async () => 0,
  version: "1.2.3",
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
});
