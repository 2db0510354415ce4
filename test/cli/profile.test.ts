import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ServerProcess } from "../harness.ts";
import { Folder } from "./process.ts";

describe("A person who signs in, process by process", () => {
  let folder: Folder;
  let server: ServerProcess;
  beforeAll(async () => {
    folder = new Folder();
    server = await folder.up();
  });
  afterAll(() => folder.remove());

  /** From a folder in which no socket is found: only the profile says where and who. */
  const elsewhere = (args: readonly string[], input = "") => folder.run(args, { cwd: "/", input });
  const file = (...path: string[]) => join(folder.path, "config", "sallyport", ...path);

  test("chooses a password with the credential of the first start, is known in each later process, and signs out", async () => {
    const setUp = await elsewhere(
      ["login", "--address", server.url, "--set-up-file", join(folder.path, "keys", "owner-set-up.token")],
      "correct horse battery\n",
    );
    expect(setUp).toMatchObject({ code: 0 });
    expect(setUp.stdout).toContain("Signed in to main");
    const token = readFileSync(file("credentials", "default"), "utf8").trim();
    expect(setUp.stdout + setUp.stderr).not.toContain(token);
    expect(statSync(file("credentials", "default")).mode & 0o777).toBe(0o600);
    expect(statSync(file()).mode & 0o777).toBe(0o700);
    expect(readFileSync(file("profiles", "default.json"), "utf8")).not.toContain("sp_");

    expect(JSON.parse((await elsewhere(["whoami", "--json"])).stdout)).toMatchObject({ name: "owner", role: "owner" });
    expect(JSON.parse((await elsewhere(["session", "list", "--json"])).stdout)).toHaveLength(1);

    expect(await elsewhere(["logout"])).toMatchObject({ code: 0 });
    expect(existsSync(file("credentials", "default"))).toBe(false);
    expect(await elsewhere(["whoami"])).toMatchObject({ code: 3, stdout: "" });
  });

  test("signs in again under a profile of another name, which says where and which environment", async () => {
    const signIn = ["login", "--profile", "other", "--address", server.url, "--login", "owner", "--env", "prod"];
    expect(await elsewhere([...signIn, "--password-stdin"], "correct horse battery\n")).toMatchObject({ code: 0 });
    const set = await elsewhere(["secret", "set", "X", "--profile", "other"], "v");
    expect(set.stdout).toContain("prod/default/X was created");
    expect(await elsewhere(["secret", "list"])).toMatchObject({ code: 3 });
    expect(await elsewhere(["whoami", "--profile", "nobody"])).toMatchObject({ code: 2 });
  });
});
