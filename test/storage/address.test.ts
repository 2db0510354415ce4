import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { VaultError } from "#base";
import { describeAddress, readAddress } from "#storage";
import { Authority, encrypted } from "../certificates.ts";

const folder = mkdtempSync(join(tmpdir(), "sallyport-address-"));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const issued = new Authority("One").issue("client");
const CA = file("ca.pem", new Authority("Root").certificate);
const CERT = file("client.pem", issued.certificate);
const KEY = file("client.key", issued.key);
const OTHER_KEY = file("other.key", new Authority("Two").issue("client").key);
const LOCKED_KEY = file("locked.key", encrypted(issued));
const TEXT = file("text.pem", "no certificate at all\n");
const BROKEN = file("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");

/** Stands for the password in each address below that is refused. */
const SECRET = "geheim-und-lang";

const shape = (url: string): unknown => {
  const { hosts, database, user, password, tls } = readAddress(url);
  return [
    hosts.map(({ host, port }) => `${host} ${String(port)}`).join(", "),
    database,
    user,
    password === null ? null : password.reveal(),
    tls === null ? "none" : tls.checkServerIdentity === undefined ? "full" : "ca",
  ];
};

const GOOD: Readonly<Record<string, unknown>> = {
  "postgres://vault@db.example.org/sallyport": ["db.example.org 5432", "sallyport", "vault", null, "full"],
  "postgresql://vault@db.example.org/sallyport": ["db.example.org 5432", "sallyport", "vault", null, "full"],
  "postgres://vault@db.example.org:6432/sallyport": ["db.example.org 6432", "sallyport", "vault", null, "full"],
  "postgres://vault:word@db/sallyport": ["db 5432", "sallyport", "vault", "word", "full"],
  "postgres://vault:@db/sallyport": ["db 5432", "sallyport", "vault", "", "full"],
  "postgres://vault:a:b:c@db/sallyport": ["db 5432", "sallyport", "vault", "a:b:c", "full"],
  "postgres://va%20ult:%40%2F%3F%23%3A%25@db/sally%2Fport": ["db 5432", "sally/port", "va ult", "@/?#:%", "full"],
  "postgres://vault@a:1,b:65535,c/sallyport": ["a 1, b 65535, c 5432", "sallyport", "vault", null, "full"],
  "postgres://vault@[::1]/sallyport": ["::1 5432", "sallyport", "vault", null, "none"],
  "postgres://vault@[2001:db8::7]:6432/sallyport": ["2001:db8::7 6432", "sallyport", "vault", null, "full"],
  "postgres://vault@[::ffff:192.0.2.1]/sallyport": ["::ffff:192.0.2.1 5432", "sallyport", "vault", null, "full"],
  "postgres://vault@127.0.0.1/sallyport": ["127.0.0.1 5432", "sallyport", "vault", null, "none"],
  "postgres://vault@localhost:5433/sallyport": ["localhost 5433", "sallyport", "vault", null, "none"],
  "postgres://vault@%2Fvar%2Frun%2Fpostgresql/sallyport": [
    "/var/run/postgresql 5432",
    "sallyport",
    "vault",
    null,
    "none",
  ],
  // One that is elsewhere, and all are asked for their certificate.
  "postgres://vault@localhost,db/sallyport": ["localhost 5432, db 5432", "sallyport", "vault", null, "full"],
  // What only looks like this machine.
  "postgres://vault@localhost.example.org/sallyport": [
    "localhost.example.org 5432",
    "sallyport",
    "vault",
    null,
    "full",
  ],
  "postgres://vault@127.0.0.1.example.org/sallyport": [
    "127.0.0.1.example.org 5432",
    "sallyport",
    "vault",
    null,
    "full",
  ],
  "postgres://vault@0.0.0.0/sallyport": ["0.0.0.0 5432", "sallyport", "vault", null, "full"],
  "postgres://vault@localhost/sallyport?sslmode=verify-full": ["localhost 5432", "sallyport", "vault", null, "full"],
  "postgres://vault@db/sallyport?sslmode=disable": ["db 5432", "sallyport", "vault", null, "none"],
  "postgres://vault@db/sallyport?sslrootcert=system": ["db 5432", "sallyport", "vault", null, "full"],
  "postgres://vault@db/sallyport?": ["db 5432", "sallyport", "vault", null, "full"],
  [`postgres://vault@localhost/sallyport?sslrootcert=${CA}`]: ["localhost 5432", "sallyport", "vault", null, "full"],
  [`postgres://vault@db/sallyport?sslmode=verify-ca&sslrootcert=${CA}`]: ["db 5432", "sallyport", "vault", null, "ca"],
  [`postgres://vault@db/sallyport?sslrootcert=${encodeURIComponent(CA)}&sslcert=${CERT}&sslkey=${KEY}`]: [
    "db 5432",
    "sallyport",
    "vault",
    null,
    "full",
  ],
};

const FORM = "is not of the form postgres://user@host:port/database";
const at = (rest: string): string => `postgres://vault:${SECRET}@${rest}`;
const BAD: Readonly<Record<string, string>> = {
  "": FORM,
  postgres: FORM,
  "postgres:": FORM,
  "postgres://": FORM,
  [`mysql://vault:${SECRET}@db/x`]: FORM,
  [`https://vault:${SECRET}@db/x`]: FORM,
  [` postgres://vault:${SECRET}@db/x`]: FORM,
  [`POSTGRES://vault:${SECRET}@db/x`]: FORM,
  [`host=db user=vault password=${SECRET}`]: FORM,
  [at("db")]: FORM,
  [at("db?sslmode=disable")]: FORM,
  [at("db/x/y")]: FORM,
  [at("db/x#y")]: FORM,
  [`postgres://vault:${SECRET}#@db/x`]: FORM,
  "postgres://db/x": "names no role: postgres://user@host/database",
  "postgres://@db/x": "names no role: postgres://user@host/database",
  [`postgres://:${SECRET}@db/x`]: "names no role: postgres://user@host/database",
  [at("db/")]: "names no database",
  [at("/x")]: "names no host, or no port",
  [at(":5432/x")]: "names no host, or no port",
  [at("db:/x")]: "names no host, or no port",
  [at("db:port/x")]: "names no host, or no port",
  [at("db:-1/x")]: "names no host, or no port",
  [at("db:1:2/x")]: "names no host, or no port",
  [at("a,,b/x")]: "names no host, or no port",
  [at("a,/x")]: "names no host, or no port",
  [at("::1/x")]: "names no host, or no port",
  [at("[::1/x")]: "names no host, or no port",
  [at("[::1]x/x")]: "names no host, or no port",
  [at("db:0/x")]: "has a port that is none",
  [at("db:65536/x")]: "has a port that is none",
  [at("db:99999999999999999999/x")]: "has a port that is none",
  [at("[1:2]/x")]: "has a host that is none",
  [at("[127.0.0.1]/x")]: "has a host that is none",
  [at("d b/x")]: "has a host that is none",
  [at("d%20b/x")]: "has a host that is none",
  [at("*/x")]: "has a host that is none",
  [at("relative%2Fsocket/x")]: "has a host that is none",
  [`postgres://vault:${SECRET}@${SECRET}@db/x`]: "has an @ too many: in a name or a password it is written %40",
  [`postgres://vault:a@${SECRET},b@db/x`]: "has an @ too many: in a name or a password it is written %40",
  [`postgres://vault:12/${SECRET}@db/x`]: FORM,
  [`postgres://vault:${SECRET}%@db/x`]: "has a % that begins no escape",
  [`postgres://vault:${SECRET}%zz@db/x`]: "has a % that begins no escape",
  [`postgres://vault:${SECRET}%ff@db/x`]: "has a % that begins no escape",
  [at("db/x%")]: "has a % that begins no escape",
  [at("d%b/x")]: "has a % that begins no escape",
  [`postgres://vault%00database:${SECRET}@db/x`]: "has a NUL",
  [`postgres://vault:${SECRET}%00@db/x`]: "has a NUL",
  [at("db/x%00")]: "has a NUL",
  [at(`db/x?password=${SECRET}`)]: "has an option that is not one of sslmode, sslrootcert, sslcert, sslkey",
  [at("db/x?host=other")]: "has an option that is not one of sslmode, sslrootcert, sslcert, sslkey",
  [at("db/x?options=-c%20row_security%3Doff")]:
    "has an option that is not one of sslmode, sslrootcert, sslcert, sslkey",
  [at("db/x?sslMode=disable")]: "has an option that is not one of sslmode, sslrootcert, sslcert, sslkey",
  [at("db/x?sslmode=disable&sslmode=verify-full")]: "says an option twice",
  [at("db/x?sslmode=require")]: "asks for TLS that is not verified: sslmode is verify-full, verify-ca or disable",
  [at("db/x?sslmode=prefer")]: "asks for TLS that is not verified: sslmode is verify-full, verify-ca or disable",
  [at("localhost/x?sslmode=allow")]: "asks for TLS that is not verified: sslmode is verify-full, verify-ca or disable",
  [at("db/x?sslmode=")]: "has an sslmode that is none: verify-full, verify-ca or disable",
  [at("db/x?sslmode=no-verify")]: "has an sslmode that is none: verify-full, verify-ca or disable",
  [at("db/x?sslmode=VERIFY-FULL")]: "has an sslmode that is none: verify-full, verify-ca or disable",
  [at("db/x?sslmode=verify-ca")]: "asks for verify-ca without an authority of its own: sslrootcert",
  [at("db/x?sslmode=verify-ca&sslrootcert=system")]: "asks for verify-ca without an authority of its own: sslrootcert",
  [at(`db/x?sslmode=disable&sslrootcert=${CA}`)]: "names certificates and disables TLS",
  [at(`db/x?sslcert=${CERT}`)]: "names one of sslcert and sslkey, which belong together",
  [at(`db/x?sslkey=${KEY}`)]: "names one of sslcert and sslkey, which belong together",
  [at("db/x?sslrootcert=")]: "the file of sslrootcert cannot be read",
  [at(`db/x?sslrootcert=${folder}`)]: "the file of sslrootcert cannot be read",
  [at(`db/x?sslrootcert=${folder}/missing`)]: "the file of sslrootcert cannot be read",
  [at(`db/x?sslrootcert=${TEXT}`)]: "the file of sslrootcert holds no certificate in PEM",
  [at(`db/x?sslrootcert=${BROKEN}`)]: "the file of sslrootcert holds no certificate in PEM",
  [at(`db/x?sslcert=${folder}/missing&sslkey=${KEY}`)]: "the file of sslcert cannot be read",
  [at(`db/x?sslcert=${CERT}&sslkey=${folder}/missing`)]: "the file of sslkey cannot be read",
  [at(`db/x?sslcert=${CERT}&sslkey=${OTHER_KEY}`)]:
    "the files of sslcert and sslkey are no certificate and its key, unencrypted, in PEM",
  [at(`db/x?sslcert=${CERT}&sslkey=${LOCKED_KEY}`)]:
    "the files of sslcert and sslkey are no certificate and its key, unencrypted, in PEM",
  [at(`db/x?sslcert=${TEXT}&sslkey=${KEY}`)]:
    "the files of sslcert and sslkey are no certificate and its key, unencrypted, in PEM",
};

function refusal(url: string): VaultError {
  try {
    readAddress(url);
  } catch (error) {
    if (error instanceof VaultError) return error;
    throw error;
  }
  throw new Error("it was taken");
}

describe("the address of a database", () => {
  it.each(Object.entries(GOOD))("%s is read", (url, wanted) => {
    expect(shape(url)).toEqual(wanted);
  });

  it.each(Object.entries(BAD))("%s is refused with words that hold nothing of it", (url, message) => {
    const error = refusal(url);
    expect(error.code).toBe("config_invalid");
    expect(error.detail).toEqual({ faults: [{ field: "store", message }] });
    expect([JSON.stringify(error), error.message, String(error.stack).split("\n    at ")[0]].join("\n")).not.toContain(
      SECRET,
    );
  });

  it("is tried in as many ways as it should be", () => {
    expect(Object.keys(GOOD).length).toBeGreaterThanOrEqual(25);
    expect(Object.keys(BAD).length).toBeGreaterThanOrEqual(70);
  });

  it("is shown without its password and options, and is an address again", () => {
    for (const url of Object.keys(GOOD)) {
      const address = readAddress(url);
      const shown = describeAddress(address);
      expect(shown).not.toContain("?");
      const again = readAddress(`${shown}?sslmode=disable`);
      expect([again.hosts, again.database, again.user, again.password]).toEqual([
        address.hosts,
        address.database,
        address.user,
        null,
      ]);
    }
    const address = readAddress(`postgres://va%40ult:${SECRET}@[2001:db8::7],db:1/x?sslmode=disable`);
    expect(describeAddress(address)).toBe("postgres://va%40ult@[2001:db8::7]:5432,db:1/x");
    // As whoever prints all of it would have it.
    expect(JSON.stringify(address)).not.toContain(SECRET);
  });

  it("asks for TLS 1.2 at least, and for a certificate that is valid", () => {
    expect(readAddress("postgres://vault@db/x").tls).toEqual({ minVersion: "TLSv1.2", rejectUnauthorized: true });
  });
});
