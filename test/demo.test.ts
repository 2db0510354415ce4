import { spawn } from "node:child_process";
import { describe, expect, it } from "vitest";
import { HIDDEN, TOKEN } from "../scripts/demo/values.ts";
import { cleanEnv } from "./harness.ts";

describe("the demo", () => {
  it("runs the main job to its end without a terminal, and shows no value, password or token", async () => {
    const { code, output } = await demo();
    expect(output).toContain("steps are as they should be");
    expect(code).toBe(0);
    for (let step = 1; step <= 15; step += 1) expect(output).toMatch(new RegExp(`^ ?${String(step)}\\. `, "m"));
    expect(output).toMatch(/\bAUTH\b.*\bDB_URL\b.*\bLOG_LEVEL\b/);
    for (const hidden of HIDDEN) {
      for (const form of [hidden, Buffer.from(hidden).toString("base64"), encodeURIComponent(hidden)])
        expect(output.includes(form)).toBe(false);
    }
    expect(output.match(TOKEN)).toBeNull();
    expect(output).not.toContain("\u001b");
  }, 120_000);
});

function demo(): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, ["--conditions=sallyport-source", "--import", "tsx", "scripts/demo.ts"], {
    cwd: new URL("..", import.meta.url).pathname,
    env: cleanEnv(),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, output }));
  });
}
