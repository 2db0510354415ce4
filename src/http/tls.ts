import { DAY, VaultError, isVaultError } from "#base";
import type { Clock } from "#base";
import { readAuthorities, readCertificate, termOf } from "#crypto";
import type { Certificate } from "#crypto";
import type { TlsFiles } from "#settings";
import type { SecureContextOptions, TlsOptions } from "node:tls";
import { FileWatch, signatureOf } from "./file-watch.ts";
import type { Logger } from "./log.ts";

/**
 * TLS 1.2 and 1.3 with the cipher suites that Mozilla's "intermediate" configuration (version 5.7) names, without those of
 * finite-field Diffie-Hellman: all of them have forward secrecy and authenticated encryption. The client chooses among
 * them, as that configuration says, because it knows whether its processor has AES.
 */
const CIPHERS = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");

/** How often the files are looked at, and how long a pair that does not fit may be one that is still being written; in ms. */
export interface Paces {
  readonly poll: number;
  readonly settle: number;
}

const PACES: Paces = { poll: 10_000, settle: 2_000 };

interface Loaded {
  readonly certificate: Certificate;
  readonly authorities: string | null;
}

/**
 * The server's certificate, as it lies on the disk now. When its files change they are read again, and new connections get
 * the new one; those that are open keep the old. A pair that does not fit, cannot be read, or is out of its time where
 * the old one is not, is refused: the old one goes on.
 */
export class Tls {
  readonly #files: TlsFiles;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #paces: Paces;
  readonly #listeners: ((context: SecureContextOptions) => void)[] = [];
  readonly #watch: FileWatch;
  #loaded: Loaded;
  #seen: string;
  #warnedAt = 0;
  /** Reloads come one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  /** The one that was asked for and has not begun. */
  #asked: Promise<boolean> | null = null;

  private constructor(
    files: TlsFiles,
    loaded: Loaded,
    seen: string,
    around: { log: Logger; clock: Clock; paces: Paces },
  ) {
    this.#files = files;
    this.#loaded = loaded;
    this.#seen = seen;
    this.#log = around.log;
    this.#clock = around.clock;
    this.#paces = around.paces;
    const { poll, settle } = around.paces;
    this.#watch = new FileWatch(pathsOf(files), { pollMs: poll, soonMs: settle / 10 }, () => void this.#look());
    this.#warn();
  }

  /**
   * @throws {VaultError} `config_invalid`, `key_file_unsafe`. Not for a certificate that is out of its time: clients refuse
   * it by themselves, and a vault that did not start could not be reached at its machine either. The log says it.
   */
  static async load(files: TlsFiles, around: { log: Logger; clock: Clock; paces?: Paces }): Promise<Tls> {
    if (files.clientAuth !== "none" && files.clientAuthorityFile === null) {
      const message = "client certificates are asked for, and no authority says which are good";
      throw new VaultError("config_invalid", undefined, {
        detail: { faults: [{ field: "tlsClientAuthority", message }] },
      });
    }
    const seen = await signatureOf(pathsOf(files));
    return new Tls(files, await read(files), seen, { ...around, paces: around.paces ?? PACES });
  }

  /** For `https.createServer`. */
  get options(): TlsOptions {
    const { clientAuth } = this.#files;
    return {
      ...contextOf(this.#loaded),
      ALPNProtocols: ["http/1.1"],
      requestCert: clientAuth !== "none",
      // An optional certificate that is shown and not good is refused by the door: here it would have to be there.
      rejectUnauthorized: clientAuth === "required",
    };
  }

  /** When the one in use expires. */
  get validTo(): Date {
    return this.#loaded.certificate.validTo;
  }

  get asksClients(): boolean {
    return this.#files.clientAuth !== "none";
  }

  onChange(listener: (context: SecureContextOptions) => void): void {
    this.#listeners.push(listener);
  }

  /**
   * Reads the files now. False when what they hold is refused; the log says why. Whoever asks while another waits for its
   * turn is answered with that one.
   */
  reload(): Promise<boolean> {
    this.#asked ??= this.#inTurn(async () => {
      this.#asked = null;
      try {
        this.#seen = await signatureOf(pathsOf(this.#files));
        await this.#take();
        return true;
      } catch (error) {
        this.#refused(error);
        return false;
      }
    });
    return this.#asked;
  }

  close(): void {
    this.#watch.close();
  }

  async #look(): Promise<void> {
    await this.#inTurn(async () => {
      this.#warn();
      let seen = await signatureOf(pathsOf(this.#files));
      if (seen === this.#seen) return;
      try {
        await this.#take();
      } catch {
        // Renewal writes two files, one after the other: between them they do not fit.
        await new Promise((resolve) => setTimeout(resolve, this.#paces.settle).unref());
        // Who asked meanwhile reads them next, and says what came of it.
        if (this.#asked !== null) return;
        seen = await signatureOf(pathsOf(this.#files));
        await this.#take().catch((error: unknown) => {
          this.#refused(error);
        });
      }
      this.#seen = seen;
    });
  }

  async #take(): Promise<void> {
    const loaded = await read(this.#files);
    const now = this.#clock.now();
    if (!isInTime(loaded.certificate, now) && isInTime(this.#loaded.certificate, now)) {
      throw fault("tlsCertificate", "the new certificate is out of its time, and the one in use is not");
    }
    if (isSame(loaded, this.#loaded)) {
      this.#log.info(this.#fields(), "TLS certificate unchanged");
      return;
    }
    this.#loaded = loaded;
    for (const listener of this.#listeners) listener(contextOf(loaded));
    this.#log.info(this.#fields(), "TLS certificate reloaded");
    this.#warnedAt = 0;
    this.#warn();
  }

  #refused(error: unknown): void {
    const code = isVaultError(error) ? error.code : "internal";
    const faults = isVaultError(error) ? (error.detail.faults ?? [{ field: "tlsKey", message: error.message }]) : [];
    this.#log.error(
      { event: "tls_reload_refused", code, faults, inUse: this.#fields() },
      "TLS certificate not reloaded: the one in use goes on",
    );
  }

  /** What is wrong with its time, or soon will be, in a sentence for an operator; `null` where all is well. */
  get warning(): string | null {
    const { validFrom, validTo } = this.#loaded.certificate;
    switch (termOf({ validFrom, validTo }, this.#clock.now())) {
      case "early":
        return `TLS certificate is not valid before ${validFrom.toISOString()}: clients refuse it.`;
      case "ended":
        return `TLS certificate has expired on ${validTo.toISOString()}: clients refuse it.`;
      case "ends soon":
        return `TLS certificate expires on ${validTo.toISOString()}.`;
      case "good":
        return null;
    }
  }

  /** Once a day while there is something to warn of. */
  #warn(): void {
    const { warning } = this;
    const now = this.#clock.now();
    if (warning === null || now.getTime() - this.#warnedAt < DAY) return;
    this.#warnedAt = now.getTime();
    if (isInTime(this.#loaded.certificate, now)) this.#log.warn(this.#fields(), warning);
    else this.#log.error(this.#fields(), warning);
  }

  #fields(): object {
    const { fingerprint, validFrom, validTo } = this.#loaded.certificate;
    return { fingerprint, validFrom: validFrom.toISOString(), validTo: validTo.toISOString() };
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }
}

async function read(files: TlsFiles): Promise<Loaded> {
  return {
    certificate: await readCertificate(files.certificateFile, files.keyFile),
    authorities: files.clientAuthorityFile === null ? null : await readAuthorities(files.clientAuthorityFile),
  };
}

function contextOf({ certificate, authorities }: Loaded): SecureContextOptions {
  return {
    cert: certificate.chain,
    key: certificate.key.reveal(),
    ...(authorities === null ? {} : { ca: authorities }),
    // Said here and not left to the runtime, whose least version a variable of the environment can lower.
    minVersion: "TLSv1.2",
    maxVersion: "TLSv1.3",
    ciphers: CIPHERS,
    honorCipherOrder: false,
  };
}

function isSame(one: Loaded, other: Loaded): boolean {
  return (
    one.certificate.chain === other.certificate.chain &&
    one.certificate.key.reveal() === other.certificate.key.reveal() &&
    one.authorities === other.authorities
  );
}

function isInTime({ validFrom, validTo }: Certificate, now: Date): boolean {
  return validFrom <= now && now <= validTo;
}

function pathsOf(files: TlsFiles): string[] {
  return [
    files.certificateFile,
    files.keyFile,
    ...(files.clientAuthorityFile === null ? [] : [files.clientAuthorityFile]),
  ];
}

function fault(field: string, message: string): VaultError {
  return new VaultError("config_invalid", undefined, { detail: { faults: [{ field, message }] } });
}
