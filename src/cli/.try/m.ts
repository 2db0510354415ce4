import { runCli } from "#cli";
process.exitCode = await runCli(process.argv.slice(2), { up: async (f) => { console.log(f); return 0; }, version: "0.1.0", stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, env: process.env });
