import { execFileSync } from "node:child_process";
import { chmod, chown, link, mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { decodeBase32, encodeBase32, isVaultError } from "#base";
import type { ErrorCode } from "#base";
import {
  createIdSource,
  createKeyFile,
  createRootKeyFile,
  createSigningKeyFile,
  fileRootKey,
  loadSigner,
  readKeyFile,
  verifySignature,
} from "#crypto";
import { encodeKeyText } from "../../src/crypto/key-text.ts";

const ids = createIdSource({ now: () => new Date(1_700_000_000_000) });
const asRoot = process.geteuid?.() === 0;
let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-keys-"));
  path = join(folder, "keys", "root.key");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("A root key file", () => {
  test("is made 0600 in a folder made 0700, loads to the key it was made with, and leaves no draft", async () => {
    const id = await createRootKeyFile(path, ids);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await stat(dirname(path))).mode & 0o777).toBe(0o700);
    expect(await readdir(dirname(path))).toEqual(["root.key"]);
    const key = await fileRootKey(path).load();
    expect(key.id).toBe(id);
    expect(key.bytes).toHaveLength(32);
    key.zero();
    expect(key.bytes.equals(Buffer.alloc(32))).toBe(true);
  });

  test("is one line: version, key id, 32 bytes, checksum", async () => {
    await createRootKeyFile(path, ids);
    const text = await readFile(path, "ascii");
    expect(text).toMatch(/^sallyport-root-key-v1 key_[0-9a-z]{26} [0-9a-z]{52} [0-9a-z]{13}\n$/);
    expect(decodeBase32(text.split(" ")[2] ?? "", 32)).not.toBeNull();
  });

  test("is never made over anything that is there", async () => {
    await createRootKeyFile(path, ids);
    const before = await readFile(path);
    await refused("already_exists", createRootKeyFile(path, ids), path);
    expect((await readFile(path)).equals(before)).toBe(true);
    expect(await readdir(dirname(path))).toEqual(["root.key"]);

    const dangling = join(folder, "keys", "dangling.key");
    await symlink(join(folder, "elsewhere"), dangling);
    await refused("already_exists", createRootKeyFile(dangling, ids), dangling);
    expect(await readdir(folder)).toEqual(["keys"]);
  });

  test("is made once when many make it at the same time", async () => {
    const made = await Promise.allSettled(Array.from({ length: 10 }, () => createRootKeyFile(path, ids)));
    const winners = made.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    expect(winners).toHaveLength(1);
    expect((await fileRootKey(path).load()).id).toBe(winners[0]);
    expect(await readdir(dirname(path))).toEqual(["root.key"]);
  });

  test("of long ago still loads", async () => {
    const id = "key_01hf7yat00fay8vvr14d2pf2db";
    const secret = encodeBase32(Buffer.from(Array.from({ length: 32 }, (_, n) => n)));
    await createKeyFile(path, `sallyport-root-key-v1 ${id} ${secret} 97wbns6kmbmba\n`);
    const key = await fileRootKey(path).load();
    expect(key.id).toBe(id);
    expect([...key.bytes]).toEqual(Array.from({ length: 32 }, (_, n) => n));
  });

  test("that is damaged in any one letter is refused", async () => {
    await createRootKeyFile(path, ids);
    const text = await readFile(path, "ascii");
    for (let at = 0; at < text.length - 1; at += 1) {
      const letter = text[at] === "0" ? "1" : "0";
      await writeFile(path, text.slice(0, at) + letter + text.slice(at + 1));
      await refused("key_file_invalid", fileRootKey(path).load(), path);
    }
  });

  test("that is empty, cut, doubled, foreign or too large is refused, and the message shows nothing of it", async () => {
    await createRootKeyFile(path, ids);
    const text = await readFile(path, "ascii");
    const secret = text.split(" ")[2] ?? "";
    const contents = [
      "",
      "\n",
      text.slice(0, 60),
      text + text,
      `${text} more`,
      ` ${text}`,
      "-----BEGIN PRIVATE KEY-----",
      "x".repeat(5000),
    ];
    for (const content of contents) {
      await writeFile(path, content);
      const error = await refused("key_file_invalid", fileRootKey(path).load(), path);
      expect(String(error.stack)).not.toContain(secret.slice(0, 12));
    }
    for (const content of [text.trimEnd(), `${text.trimEnd()}\r\n`, `${text}\n`]) {
      await writeFile(path, content);
      await expect(fileRootKey(path).load()).resolves.toBeDefined();
    }
  });

  test("whose bytes are all the same is refused", async () => {
    for (const byte of [0, 0xff, 0x41]) {
      const equalBytes = join(folder, `${byte}.key`);
      await createKeyFile(equalBytes, encodeKeyText("root", ids.next("key"), Buffer.alloc(32, byte)));
      await refused("key_file_invalid", fileRootKey(equalBytes).load(), "all its bytes are the same");
    }
  });

  test("is not taken for a checkpoint key, nor the other way round", async () => {
    await createRootKeyFile(path, ids);
    await refused("key_file_invalid", loadSigner(path, "vault"), "another kind");
    const checkpoint = join(folder, "checkpoint.key");
    await createSigningKeyFile(checkpoint, ids);
    await refused("key_file_invalid", fileRootKey(checkpoint).load(), "another kind");
  });
});

describe("A checkpoint key file", () => {
  test("loads to a signer with its id, the same each time", async () => {
    const id = await createSigningKeyFile(path, ids);
    const [one, two] = [await loadSigner(path, "vault"), await loadSigner(path, "vault")];
    expect([one.id, two.id, one.name]).toEqual([id, id, "vault"]);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(verifySignature(two.publicKey, Buffer.from("tree"), one.sign(Buffer.from("tree")))).toBe(true);
  });
});

describe("A key file is refused with the path and the way out", () => {
  beforeEach(() => createKeyFile(path, "text\n"));

  test("when it is not there", async () => {
    const absent = join(folder, "keys", "other.key");
    await refused("key_file_missing", readKeyFile(absent), absent);
    await refused("key_file_missing", readKeyFile(join(path, "below", "a", "file")), "not there");
  });

  test.each([0o640, 0o604, 0o660, 0o644, 0o610, 0o601, 0o620, 0o777])("when its mode is %o", async (mode) => {
    await chmod(path, mode);
    await refused("key_file_unsafe", readKeyFile(path), `chmod 600 ${path}`);
    await refused("key_file_unsafe", fileRootKey(path).load(), mode.toString(8));
  });

  test("but not when only we may read it", async () => {
    for (const mode of [0o600, 0o400, 0o700]) {
      await chmod(path, mode);
      expect(await readKeyFile(path)).toBe("text\n");
    }
  });

  test("when it is a symbolic link, also to a good file", async () => {
    const soft = join(folder, "keys", "soft.key");
    await symlink(path, soft);
    await refused("key_file_unsafe", readKeyFile(soft), soft);
  });

  test("when it is a folder or a pipe, without waiting", async () => {
    await refused("key_file_unsafe", readKeyFile(join(folder, "keys")), "regular file");
    const pipe = join(folder, "keys", "pipe.key");
    execFileSync("mkfifo", ["-m", "600", pipe]);
    await refused("key_file_unsafe", readKeyFile(pipe), "regular file");
  });

  test("when others can write in its folder", async () => {
    await chmod(dirname(path), 0o770);
    await refused("key_file_unsafe", readKeyFile(path), `chmod go-w ${dirname(path)}`);
    await chmod(dirname(path), 0o1777);
    expect(await readKeyFile(path)).toBe("text\n");
  });

  test("when it or its folder belongs to somebody else", async (context) => {
    if (!asRoot) return context.skip("only root can give a file away");
    await chown(path, 12_345, 12_345);
    await refused("key_file_unsafe", readKeyFile(path), `chown 0 ${path}`);
    await chown(path, 0, 0);
    await chown(dirname(path), 12_345, 12_345);
    await refused("key_file_unsafe", readKeyFile(path), "12345");
  });

  test("when it cannot be read", async (context) => {
    if (asRoot) return context.skip("root can read every file");
    await chmod(path, 0o000);
    await refused("key_file_unsafe", readKeyFile(path), `chmod 600 ${path}`);
  });

  test("and the command in the message is one that a shell takes", async () => {
    const odd = join(folder, "it's a key", "root key");
    await createKeyFile(odd, "text\n");
    await chmod(odd, 0o644);
    const error = await refused("key_file_unsafe", readKeyFile(odd), "chmod 600 ");
    execFileSync("sh", ["-c", error.message.slice(error.message.indexOf("chmod"))]);
    expect(await readKeyFile(odd)).toBe("text\n");
  });
});

describe("Making a key file", () => {
  test("takes the write permission of others from a folder of ours, and leaves the rest", async () => {
    await mkdir(dirname(path));
    await chmod(dirname(path), 0o775);
    await createKeyFile(path, "text\n");
    expect((await stat(dirname(path))).mode & 0o777).toBe(0o755);
    expect(await readKeyFile(path)).toBe("text\n");
  });

  test("leaves a file that stays readable when it has a second name", async () => {
    await createKeyFile(path, "text\n");
    await link(path, join(folder, "copy.key"));
    expect(await readKeyFile(path)).toBe("text\n");
  });
});

async function refused(code: ErrorCode, attempt: Promise<unknown>, text: string): Promise<Error> {
  const error: unknown = await attempt.then(
    () => "taken",
    (reason: unknown) => reason,
  );
  if (!isVaultError(error)) expect.fail(`expected ${code}, got ${String(error)}`);
  expect(error.code).toBe(code);
  expect(error.message).toContain(text);
  return error;
}
