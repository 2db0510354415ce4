import { join } from "node:path";
import { chmod, unlink, writeFile } from "node:fs/promises";
import { INSTANCE, SECOND, VaultError, isLoopback, isVaultError, systemClock } from "#base";
import type { Clock } from "#base";
import { loadOpenApi, loadWire } from "#contract";
import {
  Keyring,
  PasswordHasher,
  createIdSource,
  createRootKeyFile,
  createSigningKeyFile,
  fileRootKey,
  loadSigner,
  randomBytes,
} from "#crypto";
import type { PasswordHasherOptions } from "#crypto";
import { COPY_MARK, Change, Pruning, openStore } from "#storage";
import type { CommitWatch, Scribe, TamperAlarm } from "#storage";
import { Checkpoints, writeEvent } from "#audit";
import {
  AuditView,
  Environments,
  Grants,
  Guard,
  Knowledge,
  Namespaces,
  OrgSettings,
  Tally,
  keyAges,
  keyRow,
  keySource,
  rowIntegrity,
  tamperAlarm,
} from "#access";
import { Authenticator, Orgs, ServiceUsers, Sessions, SignIn, Users, blockList } from "#identity";
import type { FoundedOrg } from "#identity";
import { Bulk, Comparison, Copies, Destruction, Secrets, Values, Versions, Writes } from "#secrets";
import { Deployments, Manifests, Uses, Workloads } from "#workloads";
import { Exchange, Injections, LastUses, Leases, Mint } from "#injection";
import { Metrics, Tls, createApp, listen, openHandlers, routes } from "#http";
import type { Logger, Rooms, VaultSample } from "#http";
import type { Config } from "#settings";
import { Condition, MAX_SKEW_MS } from "./condition.ts";
import { openEngine } from "./engine.ts";
import { statusOf } from "./status.ts";

/** What a test or another entry point may put in another's place. */
export interface Overrides {
  readonly clock?: Clock;
  readonly passwords?: PasswordHasherOptions;
  readonly checkAnswers?: boolean;
  /** How long the process may lag behind itself, in ms: whoever shares it with other work lags by no fault of its own. */
  readonly maxLagMs?: number;
  /** How far the clock may be from the database server's, in ms. A clock that was put in another's place is not asked about. */
  readonly maxSkewMs?: number;
  /** Descriptors of sockets that listen already, in place of the address of the settings. */
  readonly sockets?: readonly number[];
}

export interface Vault {
  readonly url: string;
  /** Where it listens, all of them. */
  readonly urls: readonly string[];
  readonly socketPath: string | null;
  readonly store: string;
  /** The first org with its owner's set-up credential, when this was the first start. */
  readonly founded: FoundedOrg | null;
  /** Whether the store can be written and read, and the vault is unsealed. */
  healthy(): Promise<boolean>;
  /** Reads the certificate's files again: false when they were refused; `null` where there is no TLS. */
  reloadCertificate(): Promise<boolean | null>;
  /** Answers what is in flight, makes everything durable, and lets go of all files and keys. */
  close(): Promise<void>;
}

/** What is there only when more was opened than asks for it. */
interface Late {
  checkpoints: Checkpoints | null;
  alarm: TamperAlarm;
  sample: () => Promise<VaultSample>;
}

const SOCKET = "sallyport.sock";
const FURTHER = "A further node takes a copy of the first one's keys folder.";

/**
 * The composition root: the object graph of a running vault, from its files to its sockets, on one page.
 *
 * @throws {VaultError} what stops a start: see the exit codes.
 */
export async function createVault(
  config: Config,
  version: string,
  log: Logger,
  overrides: Overrides = {},
): Promise<Vault> {
  const clock = overrides.clock ?? systemClock;
  const ids = createIdSource(clock);
  const startedAt = clock.now();
  const maxSkewMs = overrides.maxSkewMs ?? (overrides.clock === undefined ? MAX_SKEW_MS : null);
  const onFault = (error: unknown): void => {
    log.error(
      { code: error instanceof VaultError ? error.code : "internal", cause: causeOf(error) },
      "background work failed; it is tried again",
    );
  };

  // The store, whose events the audit room writes and whose rows the keyring proves.
  const late: Late = {
    checkpoints: null,
    alarm: () => undefined,
    sample: () => Promise.reject(new VaultError("store_unavailable")),
  };
  const scribe: Scribe = {
    write(entry, head, now) {
      const known = entry as Parameters<typeof writeEvent>[0];
      late.checkpoints?.grown(known.permit.event.chain, head.slot);
      return writeEvent(known, head, now);
    },
  };
  /** What was opened, to be let go of in reverse. */
  const opened: (() => void | Promise<void>)[] = [];
  // Before anything is made: a wrong certificate at a first start leaves nothing behind.
  const tls = config.tls === null ? null : await Tls.load(config.tls, { log, clock });
  opened.push(() => tls?.close());
  const metrics = new Metrics({ version, store: config.store.engine }, () => late.sample());
  const watch: CommitWatch = (measure) => {
    metrics.committed(measure);
  };
  let isFounding = false;
  try {
    const engine = await openEngine(config, { scribe, clock, watch, maxSkewMs });
    opened.push(() => engine.close());
    const { store, facts } = openStore(
      engine,
      rowIntegrity(() => keyring),
      (...row) => late.alarm(...row),
    );
    if ((await facts.of(INSTANCE).get("meta", { name: COPY_MARK })) !== null) throw new VaultError("copy_unfinished");
    const guard = new Guard(new Knowledge(facts, store), store, ids);

    // The keys.
    const rootFile = join(config.keysFolder, "root.key");
    const signingFile = join(config.keysFolder, "checkpoint.key");
    const instanceKey = await facts.of(INSTANCE).get("keys", { purpose: "instance" });
    const made = instanceKey === null ? await makeKeyFiles(rootFile, signingFile) : [];
    const root = await fileRootKey(rootFile)
      .load()
      .catch((error: unknown) => {
        const isFurther = isVaultError(error, "key_file_missing") && config.store.engine !== "sqlite";
        throw isFurther ? new VaultError(error.code, `${rootFile} is not there. ${FURTHER}`) : error;
      });
    if (instanceKey !== null && instanceKey.parentId !== root.id) throw foreignKey(rootFile);
    const keyring = new Keyring(root, keySource(facts), ids);
    opened.splice(1, 0, () => {
      keyring.close();
    });
    if (instanceKey === null) {
      isFounding = true;
      try {
        await foundInstance();
      } catch (error) {
        const others = await facts.of(INSTANCE).get("keys", { purpose: "instance" });
        if (!isVaultError(error, "already_exists") || others === null || others.parentId === root.id) throw error;
        // Another node has founded with keys of its own. These have sealed nothing, and would be in the way of the right ones.
        isFounding = false;
        for (const file of made) await unlink(file);
        throw foreignKey(rootFile);
      }
      isFounding = false;
    }
    const instance = await facts.of(INSTANCE).get("meta", { name: "instance" });
    if (instance === null)
      throw new VaultError("schema_unknown", "The database has keys but no instance: it is damaged.");

    // The audit log's checkpoints. Their name is the signing key's: nothing in the database can make them another vault's.
    const signer = await loadSigner(signingFile, (id) => `sallyport/${id}`);
    const checkpoints = new Checkpoints({ path: config.checkpointFile, facts, signer, clock: store, onFault });
    await checkpoints.start();
    await writeFile(join(config.keysFolder, "checkpoint.pub"), `${checkpoints.verifierKey}\n`, { mode: 0o644 });
    await chmod(join(config.keysFolder, "checkpoint.pub"), 0o644);
    opened.push(() => checkpoints.stop());
    late.checkpoints = checkpoints;
    const condition = new Condition({
      store,
      facts,
      checkpoints,
      log,
      certificate: () => tls?.warning ?? null,
      sealed: () => keyring.sealed,
      maxSkewMs,
      dataFolder: config.dataFolder,
      checkpointFile: config.checkpointFile,
    });
    await condition.look();
    condition.start();
    opened.push(() => {
      condition.stop();
    });
    const pruning = new Pruning(facts);
    pruning.start(onFault);
    opened.push(() => pruning.stop());
    const tally = new Tally(guard);
    tally.start(onFault);
    opened.push(() => tally.stop());
    const lastUses = new LastUses(facts, store);
    lastUses.start(onFault);
    opened.push(() => lastUses.stop());
    late.alarm = tamperAlarm(guard, {
      row: (table, row) => {
        log.error({ table, row }, "a stored row does not prove itself");
      },
      fault: onFault,
    });

    const ages = remembered(10 * SECOND, () => keyAges(facts));
    late.sample = async () => {
      const { writable, queued, queuedBytes, clockBehindMs, clockAheadMs, connections } = await store.health();
      return {
        now: clock.now(),
        writable,
        sealed: keyring.sealed,
        queuedJobs: queued,
        queuedBytes,
        clockBehindMs,
        clockAheadMs,
        connections,
        checkpointsAt: checkpoints.signedAt,
        checkpointedEvents: checkpoints.signedEvents,
        certificateExpiresAt: tls?.validTo ?? null,
        ...(await ages()),
      };
    };

    // The rooms.
    // Where sockets were given, their addresses are known when the doors are open: until then it is not this machine only.
    const reach = { loopbackOnly: overrides.sockets === undefined && isLoopback(config.host) };
    const authenticator = new Authenticator({ facts, tally, clock: store, reach });
    const hasher = new PasswordHasher(overrides.passwords);
    await hasher.load();
    const values = new Values(keyring);
    const writes = new Writes(store, values, ids);
    const uses = new Uses(guard, store);
    const orgs = new Orgs(guard, store, facts, keyring, ids);
    const rooms: Rooms = {
      guard,
      store,
      audit: new AuditView(guard, store, checkpoints, facts),
      environments: new Environments(guard, store, keyring, ids),
      namespaces: new Namespaces(guard, store, ids),
      grants: new Grants(guard, store, ids),
      orgSettings: new OrgSettings(guard, store),
      orgs,
      users: new Users(guard, store, ids),
      serviceUsers: new ServiceUsers(guard, store, ids),
      sessions: new Sessions(guard, store),
      signIn: new SignIn({ guard, store, facts, tally, hasher, ids }),
      secrets: new Secrets(guard, store),
      versions: new Versions(guard, store, values, writes),
      destruction: new Destruction(guard, store, writes, uses),
      bulk: new Bulk(guard, store, writes),
      copies: new Copies(guard, store, values, writes, uses),
      comparison: new Comparison(guard, store, values),
      uses,
      workloads: new Workloads(guard, store, ids),
      manifests: new Manifests(guard, store, ids),
      deployments: new Deployments(guard, store, ids),
      mint: new Mint(guard, store, ids),
      exchange: new Exchange({ guard, store, facts, tally, values, authenticator, lastUses, ids }),
      injections: new Injections(guard, store),
      leases: new Leases(guard, store, facts, tally),
      status: statusOf({
        version,
        startedAt,
        store,
        facts,
        condition,
        metrics,
        address: () => servers.url,
        certificateExpiresAt: () => tls?.validTo ?? null,
      }),
    };

    // The door.
    const app = createApp({
      wire: await loadWire(),
      handlers: {
        ...openHandlers(() => condition.ready(), await loadOpenApi(version), { to: config.metrics, metrics }),
        ...routes(rooms),
      },
      watch: metrics,
      authenticate: (call, credential, machine) => authenticator.actor(call, credential, machine),
      settle: (permit, outcome) => guard.settle(permit, outcome),
      refused: (call, reason) => tally.count(call, reason, INSTANCE),
      log,
      clock: store,
      newRequestId: () => `req_${randomBytes(12).toString("hex")}`,
      trustedProxies: config.trustedProxies.length === 0 ? null : blockList(config.trustedProxies),
      limits: {
        requests: { count: config.requestsPerSecond, seconds: 1 },
        credentialRequests: { count: config.requestsPerSecondPerCredential, seconds: 1 },
        failures: { count: config.failuresPerTenSeconds, seconds: 10 },
        maxInFlight: config.maxInFlight,
        maxMemoryBytes: config.maxMemoryMb * 1024 * 1024,
        ...(overrides.maxLagMs === undefined ? {} : { maxLagMs: overrides.maxLagMs }),
      },
      checkAnswers: overrides.checkAnswers ?? false,
    });
    opened.push(() => app.close());
    const socketPath = join(config.dataFolder, SOCKET);
    const servers = await listen({
      app,
      host: config.host,
      port: config.port,
      socketPath,
      insecurePlainHttp: config.insecurePlainHttp,
      tls,
      ...(overrides.sockets === undefined ? {} : { sockets: overrides.sockets }),
      log,
    });
    reach.loopbackOnly = servers.loopbackOnly;
    opened.push(async () => {
      condition.drain();
      await servers.drain(config.drainSeconds * SECOND, { delayMs: config.drainDelaySeconds * SECOND });
    });
    // Last: a start that fails before this leaves nobody with a credential that was never shown.
    const founded = await orgs.first(config.org, config.owner);

    async function foundInstance(): Promise<void> {
      const keys = keyring.createInstance();
      const change = new Change().insert("meta", { name: "instance", value: randomBytes(16).toString("hex") });
      for (const key of keys) change.insert("keys", keyRow(key, clock.now()), "conflict");
      await store.commit(guard.system("instance.made"), change, { result: "success" });
      keyring.adopt(keys);
    }

    return {
      url: servers.url,
      urls: servers.urls,
      store: store.kind,
      healthy: async () => (await store.health()).writable && !keyring.sealed,
      reloadCertificate: async () => (tls === null ? null : tls.reload()),
      socketPath: servers.socketPath,
      founded,
      close: () => closeAll(opened),
    };
  } catch (error) {
    await closeAll(opened);
    // Of several nodes at their first start one founds. The others begin anew, with what it made.
    if (isFounding && isVaultError(error, "already_exists")) return createVault(config, version, log, overrides);
    throw error;
  }

  /** The files that it made. */
  async function makeKeyFiles(rootFile: string, signingFile: string): Promise<readonly string[]> {
    const made: string[] = [];
    // An interrupted first start may have left one or both: they are as good as new.
    for (const [file, make] of [
      [rootFile, createRootKeyFile],
      [signingFile, createSigningKeyFile],
    ] as const) {
      await make(file, ids).then(
        () => made.push(file),
        (error: unknown) => {
          if (!isVaultError(error, "already_exists")) throw error;
        },
      );
    }
    return made;
  }

  function foreignKey(rootFile: string): VaultError {
    return new VaultError(
      "key_file_invalid",
      `The root key in ${rootFile} is not the one that this database was made with.${config.store.engine === "sqlite" ? "" : ` ${FURTHER}`}`,
    );
  }
}

/** The last opened first; what fails to close does not keep the others open. */
async function closeAll(opened: readonly (() => void | Promise<void>)[]): Promise<void> {
  const faults: unknown[] = [];
  for (const close of [...opened].reverse()) {
    try {
      await close();
    } catch (error) {
      faults.push(error);
    }
  }
  if (faults.length > 0)
    throw new VaultError("store_unavailable", "The vault did not close cleanly.", { cause: faults[0] });
}

/** What is asked for often and changes seldom. */
function remembered<T>(forMs: number, ask: () => Promise<T>): () => Promise<T> {
  let last: { readonly at: number; readonly answer: Promise<T> } | null = null;
  return () => {
    const now = performance.now();
    if (last === null || now - last.at > forMs) {
      const answer = ask();
      last = { at: now, answer };
      answer.catch(() => (last = null));
    }
    return last.answer;
  };
}

function causeOf(error: unknown): string | null {
  const cause = error instanceof Error ? error.cause : null;
  return typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : null;
}
