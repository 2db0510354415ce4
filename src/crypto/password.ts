import { availableParallelism } from "node:os";
import { VaultError } from "#base";
import type { Redacted } from "#base";
import { Gate } from "./gate.ts";
import { randomBytes } from "./random.ts";

/** Not loaded with this room: a command line that launches something sees no password. */
const argon2 = () => import("@node-rs/argon2");

/** How hard a hash is: memory in KiB, passes (t) and lanes (p) of argon2id (RFC 9106). */
export interface PasswordParams {
  readonly memoryKiB: number;
  readonly passes: number;
  readonly lanes: number;
}

export interface PasswordHasherOptions {
  /** Hashes at a time; all cores but one, at least one, if not given. */
  readonly concurrency?: number;
  /** Hashes that may wait; 64 if not given. */
  readonly queue?: number;
  readonly params?: PasswordParams;
  /** In place of `params`, without the floor: for tests, never for passwords of people. */
  readonly insecureParams?: PasswordParams;
}

const DEFAULT: PasswordParams = { memoryKiB: 64 * 1024, passes: 3, lanes: 4 };
/** OWASP's password storage cheat sheet: the least that is still argon2id. */
const FLOOR: PasswordParams = { memoryKiB: 19 * 1024, passes: 2, lanes: 1 };
/** More than this is not a setting but an attempt to stop the vault. */
const CEILING: PasswordParams = { memoryKiB: 1024 * 1024, passes: 16, lanes: 16 };

const DEFAULT_QUEUE = 64;
const RETRY_AFTER_SECONDS = 2;
const LEAST_CHARACTERS = 12;
/** 1024 characters of any script. */
const MOST_BYTES = 4096;
const SALT_BYTES = 16;
const HASH_BYTES = 32;
const PHC = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/;
const HALF_PAIR = /\p{Surrogate}/u;

/** What is wrong with a password that somebody wants to have, as a sentence; `null` when nothing is. */
export function checkPassword(password: string): string | null {
  if (HALF_PAIR.test(password)) return "The password is not valid text.";
  const normal = password.normalize("NFC");
  if ([...normal].length < LEAST_CHARACTERS) return `A password has at least ${LEAST_CHARACTERS} characters.`;
  if (Buffer.byteLength(normal) > MOST_BYTES) return `A password has at most ${MOST_BYTES} bytes.`;
  return null;
}

/**
 * Hashes passwords and checks them, a few at a time. A stored hash is a PHC string that holds its own parameters:
 * `$argon2id$v=19$m=65536,t=3,p=4$salt$hash` (16 and 32 bytes in base64).
 */
export class PasswordHasher {
  readonly #params: PasswordParams;
  readonly #gate: Gate;
  readonly #dummy: string;

  /** Throws `config_invalid` for parameters below 19 MiB and two passes, or beyond reason. */
  constructor(options: PasswordHasherOptions = {}) {
    this.#params = options.insecureParams ?? checkParams(options.params ?? DEFAULT);
    this.#gate = new Gate({
      concurrency: options.concurrency ?? Math.max(1, availableParallelism() - 1),
      queue: options.queue ?? DEFAULT_QUEUE,
      retryAfterSeconds: RETRY_AFTER_SECONDS,
    });
    this.#dummy = dummyPhc(this.#params);
  }

  /**
   * Loads what hashes, for whoever will run long. Loaded only with the first password it might find no descriptor left, and
   * the runtime remembers an import that failed until the process ends: nobody could sign in any more.
   */
  async load(): Promise<void> {
    await argon2();
  }

  /** The PHC string of a new password. `invalid_input` when {@link checkPassword} refuses it; `overloaded`. */
  async hash(password: Redacted<string>): Promise<string> {
    const fault = checkPassword(password.reveal());
    if (fault !== null) {
      throw new VaultError("invalid_input", fault, { detail: { faults: [{ field: "password", message: fault }] } });
    }
    const { memoryKiB, passes, lanes } = this.#params;
    const options = { memoryCost: memoryKiB, timeCost: passes, parallelism: lanes, outputLen: HASH_BYTES };
    return this.#gate.run(async () => (await argon2()).hash(password.reveal().normalize("NFC"), options));
  }

  /**
   * Whether this is the password of the hash. Without a hash (`null`: nobody has this login, or it is locked) the same
   * work is done and the answer is false. `overloaded`; `integrity_failed` for a hash that is none of ours.
   */
  async verify(phc: string | null, password: Redacted<string>): Promise<boolean> {
    if (phc !== null) parseParams(phc);
    const normal = password.reveal().normalize("NFC");
    // No password is that long, so nothing is lost, and the time of the answer still says nothing.
    if (Buffer.byteLength(normal) > MOST_BYTES) return this.#gate.run(() => refuse(this.#dummy, ""));
    if (phc === null) return this.#gate.run(() => refuse(this.#dummy, normal));
    return this.#gate.run(async () => (await argon2()).verify(phc, normal));
  }

  /** Whether the hash was made with other parameters than new ones are. */
  needsRehash(phc: string): boolean {
    const { memoryKiB, passes, lanes } = parseParams(phc);
    return memoryKiB !== this.#params.memoryKiB || passes !== this.#params.passes || lanes !== this.#params.lanes;
  }
}

/** All the work of a check, and no. */
async function refuse(dummy: string, password: string): Promise<false> {
  await (await argon2()).verify(dummy, password);
  return false;
}

/** A hash that is no password's: made of random bytes instead of work, so that the first stranger takes no longer. */
function dummyPhc({ memoryKiB, passes, lanes }: PasswordParams): string {
  const [salt, digest] = [SALT_BYTES, HASH_BYTES].map((count) =>
    randomBytes(count).toString("base64").replaceAll("=", ""),
  );
  return `$argon2id$v=19$m=${memoryKiB},t=${passes},p=${lanes}$${salt ?? ""}$${digest ?? ""}`;
}

function checkParams(params: PasswordParams): PasswordParams {
  const faults = (["memoryKiB", "passes", "lanes"] as const)
    .filter((name) => !(Number.isInteger(params[name]) && params[name] >= FLOOR[name] && params[name] <= CEILING[name]))
    .map((field) => ({ field, message: `takes a whole number from ${FLOOR[field]} to ${CEILING[field]}` }));
  if (faults.length > 0) throw new VaultError("config_invalid", undefined, { detail: { faults } });
  return params;
}

/** The parameters of a stored hash. Bounded, so that a row written by somebody else cannot order gigabytes of work. */
function parseParams(phc: string): PasswordParams {
  const match = PHC.exec(phc);
  if (match === null) throw new VaultError("integrity_failed");
  const params = { memoryKiB: Number(match[1]), passes: Number(match[2]), lanes: Number(match[3]) };
  const bounded = (["memoryKiB", "passes", "lanes"] as const).every((name) => params[name] <= CEILING[name]);
  if (!bounded) throw new VaultError("integrity_failed");
  return params;
}
