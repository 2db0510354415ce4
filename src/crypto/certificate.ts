import { X509Certificate, createPrivateKey } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { readFile, realpath, stat } from "node:fs/promises";
import { DAY, Redacted, VaultError } from "#base";
import { checkFolderOf, readKeyFile } from "./key-file.ts";

/** A certificate with its chain and its private key: read together, and proved to belong together. */
export interface Certificate {
  /** PEM, the server's own first. */
  readonly chain: string;
  /** PEM. */
  readonly key: Redacted<string>;
  readonly validFrom: Date;
  readonly validTo: Date;
  /** SHA-256 of the server's own, in hex: for the log. */
  readonly fingerprint: string;
}

/** When clients begin to be at risk: most certificates are renewed a month before. */
const SOON_MS = 14 * DAY;

/** Where a certificate is in its time: not valid yet, good, ending within fourteen days, or ended. */
export function termOf(
  { validFrom, validTo }: Pick<Certificate, "validFrom" | "validTo">,
  now: Date,
): "early" | "good" | "ends soon" | "ended" {
  if (now < validFrom) return "early";
  if (now > validTo) return "ended";
  return validTo.getTime() - now.getTime() < SOON_MS ? "ends soon" : "good";
}

/** The settings that name the files, as faults name them. */
type Setting = "tlsCertificate" | "tlsKey" | "tlsClientAuthority";

const MOST_CHAIN_BYTES = 1024 * 1024;
/** An RSA key of 16,384 bits fits. */
const MOST_KEY_BYTES = 16 * 1024;
const BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/**
 * Reads a certificate chain and its key. The key file has the rules of every key file, but a symbolic link is followed:
 * what renews certificates lays links. Then both the link's folder and the file it leads to must be closed to others.
 *
 * Throws `config_invalid`, whose fault names the setting and what is wrong with its file; `key_file_unsafe`.
 */
export async function readCertificate(certificateFile: string, keyFile: string): Promise<Certificate> {
  const found = await readPem("tlsCertificate", certificateFile);
  const [own] = found.certificates;
  const text = await readPrivate(keyFile);
  const key = parseKey(keyFile, text);
  if (own?.checkPrivateKey(key) !== true)
    throw fault("tlsKey", `${keyFile} is not the key of the first certificate in ${certificateFile}`);
  return {
    chain: found.text,
    key: new Redacted(text),
    validFrom: new Date(own.validFrom),
    validTo: new Date(own.validTo),
    fingerprint: own.fingerprint256.replaceAll(":", "").toLowerCase(),
  };
}

/** Reads certificates of authorities, PEM. Throws `config_invalid`. */
export async function readAuthorities(file: string): Promise<string> {
  return (await readPem("tlsClientAuthority", file)).text;
}

async function readPem(setting: Setting, file: string): Promise<{ text: string; certificates: X509Certificate[] }> {
  let bytes: Buffer;
  try {
    const { size } = await stat(file);
    if (size > MOST_CHAIN_BYTES) throw fault(setting, `${file} is larger than certificates are`);
    bytes = await readFile(file);
  } catch (error) {
    if (error instanceof VaultError) throw error;
    throw fault(setting, `${file} ${couldNot(error)}`);
  }
  const blocks = bytes.toString("latin1").match(BLOCK) ?? [];
  if (blocks.length === 0) throw fault(setting, `${file} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)`);
  try {
    return { text: `${blocks.join("\n")}\n`, certificates: blocks.map((block) => new X509Certificate(block)) };
  } catch {
    throw fault(setting, `${file} holds a certificate that is damaged`);
  }
}

async function readPrivate(file: string): Promise<string> {
  try {
    const real = await realpath(file);
    if (real !== file) await checkFolderOf(file);
    return await readKeyFile(real, MOST_KEY_BYTES);
  } catch (error) {
    if (!(error instanceof VaultError)) throw fault("tlsKey", `${file} ${couldNot(error)}`);
    if (error.code === "key_file_unsafe") throw error;
    throw fault("tlsKey", `${file} is not there, or is too large for a key`);
  }
}

function parseKey(file: string, text: string): KeyObject {
  if (text.includes("ENCRYPTED"))
    throw fault("tlsKey", `the key in ${file} is encrypted, and nobody can be asked for its passphrase at a start`);
  try {
    return createPrivateKey(text);
  } catch {
    // The cause may repeat what it could not read.
    throw fault("tlsKey", `${file} holds no private key in PEM`);
  }
}

function couldNot(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT" || code === "ENOTDIR") return "is not there";
  return code === "EACCES" ? "cannot be read by this user" : "cannot be read";
}

function fault(field: Setting, message: string): VaultError {
  return new VaultError("config_invalid", undefined, { detail: { faults: [{ field, message }] } });
}
