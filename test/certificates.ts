import { createPrivateKey, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { isIP } from "node:net";

/**
 * Certificates for tests (RFC 5280), signed here: node reads them and does not issue them, and a program that does would
 * have to be on every machine.
 *
 *     Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signature BIT STRING }
 */
export interface Issued {
  /** PEM. */
  readonly certificate: string;
  /** PKCS #8 in PEM. */
  readonly key: string;
}

export interface Wanted {
  /** Names and addresses of a server; none for a client. */
  readonly hosts?: readonly string[];
  readonly from?: Date;
  readonly to?: Date;
  readonly rsa?: boolean;
}

const DAY_MS = 86_400_000;

/** An authority that issues what it is asked for. */
export class Authority {
  readonly certificate: string;
  readonly #name: string;
  readonly #key: KeyObject;

  constructor(name = "Test authority") {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.#name = name;
    this.#key = privateKey;
    this.certificate = this.#sign(name, publicKey, {}, true);
  }

  issue(name: string, wanted: Wanted = {}): Issued {
    const { privateKey, publicKey } =
      wanted.rsa === true
        ? generateKeyPairSync("rsa", { modulusLength: 2048 })
        : generateKeyPairSync("ec", { namedCurve: "P-256" });
    return { certificate: this.#sign(name, publicKey, wanted, false), key: pem(privateKey) };
  }

  #sign(name: string, publicKey: KeyObject, wanted: Wanted, isAuthority: boolean): string {
    const { hosts = [], from = new Date(Date.now() - DAY_MS), to = new Date(Date.now() + 365 * DAY_MS) } = wanted;
    const algorithm = sequence(ECDSA_SHA256);
    const extensions = [
      extension(BASIC_CONSTRAINTS, sequence(...(isAuthority ? [tlv(0x01, Buffer.from([0xff]))] : [])), true),
      ...(hosts.length === 0 ? [] : [extension(SUBJECT_ALT_NAME, sequence(...hosts.map(generalName)), false)]),
    ];
    const serial = Buffer.concat([Buffer.from([0x01]), randomBytes(15)]);
    const body = sequence(
      tlv(0xa0, tlv(0x02, Buffer.from([2]))),
      tlv(0x02, serial),
      algorithm,
      distinguished(this.#name),
      sequence(time(from), time(to)),
      distinguished(name),
      publicKey.export({ type: "spki", format: "der" }),
      tlv(0xa3, sequence(...extensions)),
    );
    const signature = sign("sha256", body, this.#key);
    const der = sequence(body, algorithm, tlv(0x03, Buffer.concat([Buffer.from([0]), signature])));
    const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
    return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
  }
}

/** The same key, encrypted. */
export function encrypted({ key }: Issued): string {
  const options = { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "passphrase" } as const;
  return createPrivateKey(key).export(options).toString();
}

const ECDSA_SHA256 = oid("2a8648ce3d040302");
const COMMON_NAME = oid("550403");
const BASIC_CONSTRAINTS = oid("551d13");
const SUBJECT_ALT_NAME = oid("551d11");

function oid(hex: string): Buffer {
  return tlv(0x06, Buffer.from(hex, "hex"));
}

function tlv(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tlv(0x30, Buffer.concat(parts));
}

function distinguished(name: string): Buffer {
  return sequence(tlv(0x31, sequence(COMMON_NAME, tlv(0x0c, Buffer.from(name)))));
}

/** GeneralizedTime. */
function time(date: Date): Buffer {
  return tlv(0x18, Buffer.from(`${date.toISOString().replace(/[-:T]|\.\d+Z/g, "")}Z`));
}

function extension(id: Buffer, value: Buffer, critical: boolean): Buffer {
  return sequence(id, ...(critical ? [tlv(0x01, Buffer.from([0xff]))] : []), tlv(0x04, value));
}

function generalName(host: string): Buffer {
  if (isIP(host) === 4) return tlv(0x87, Buffer.from(host.split(".").map(Number)));
  return tlv(0x82, Buffer.from(host));
}

function pem(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}
