import { MINUTE } from "#base";
import type { ErrorCode } from "#base";
import { CATALOG } from "#contract";
import type { OperationId } from "#contract";
import type { CommitMeasure, ConnectionUse } from "#storage";
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";

/** A request that is over. */
export interface EndedRequest {
  /** `null`: no operation took it. */
  readonly operation: OperationId | null;
  /** `null`: the client was gone before it was answered. */
  readonly status: number | null;
  readonly code: ErrorCode | null;
  readonly ms: number;
}

/** Hears of requests; must not throw. */
export interface RequestWatch {
  began(): void;
  ended(request: EndedRequest): void;
}

/** What is only looked at when somebody asks. Counts, sizes and times: no name of anything. */
export interface VaultSample {
  readonly now: Date;
  readonly writable: boolean;
  readonly sealed: boolean;
  readonly queuedJobs: number;
  readonly queuedBytes: number;
  readonly clockBehindMs: number;
  /** `null`: the database has no server. */
  readonly clockAheadMs: number | null;
  readonly connections: ConnectionUse | null;
  /** When checkpoints were last signed without a fault, and how many events they cover. */
  readonly checkpointsAt: Date | null;
  readonly checkpointedEvents: number;
  readonly dataKeys: number;
  readonly oldestDataKeyAt: Date | null;
  readonly rootKeyAt: Date;
  readonly certificateExpiresAt: Date | null;
}

/** Requests that were turned away for what they were too many of. */
export interface TurnedAway {
  readonly minutes: number;
  readonly rateLimited: number;
  readonly overloaded: number;
}

/** One metric of the vault. */
export interface MetricRow {
  readonly name: string;
  readonly labels: readonly string[];
  readonly help: string;
}

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const FINE_SECONDS = [0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];
const JOBS = [1, 2, 4, 8, 16, 32, 64, 128];
/** For requests that no operation took. */
const NO_OPERATION = "none";
const RECENT_MINUTES = 5;

/**
 * What the vault measures of itself, for Prometheus. Labels are operations of the catalog, classes of status and codes of
 * errors: closed lists, so that no client makes a new series, and no name of a secret, a person or an address among them.
 */
export class Metrics implements RequestWatch {
  readonly contentType: string;
  readonly #registry = new Registry();
  readonly #sample: () => Promise<VaultSample>;
  readonly #recent: { minute: number; rateLimited: number; overloaded: number }[] = [];

  readonly #requests = this.#counter("requests_total", "Requests answered.", ["operation", "status", "code"]);
  readonly #requestSeconds = this.#histogram(
    "request_duration_seconds",
    "From a request's headers to its answer.",
    SECONDS,
    ["operation"],
  );
  readonly #inFlight = this.#gauge("requests_in_flight", "Requests that are not answered yet.");
  readonly #turnedAway = this.#counter("requests_turned_away_total", "Requests that were too many.", ["code"]);
  readonly #launches = this.#counter("launches_total", "Mints and exchanges of injection tokens.", ["step", "outcome"]);
  readonly #exchangeSeconds = this.#histogram(
    "exchange_duration_seconds",
    "Exchanges that gave out values.",
    FINE_SECONDS,
  );
  readonly #batch = this.#histogram("commit_batch_jobs", "Changes and events that shared one commit.", JOBS);
  readonly #commitSeconds = this.#histogram("commit_duration_seconds", "One commit, all of it.", FINE_SECONDS);
  readonly #syncSeconds = this.#histogram(
    "commit_sync_seconds",
    "The part of a commit that waits for the disk.",
    FINE_SECONDS,
  );
  readonly #commitFailures = this.#counter("commit_failures_total", "Commits that the store did not take.");
  readonly #events = this.#counter("audit_events_total", "Audit events committed since the start.");

  readonly #writable = this.#gauge("store_writable", "1 while the store and the audit log can be written.");
  readonly #sealed = this.#gauge("sealed", "1 while the vault holds no keys.");
  readonly #queuedJobs = this.#gauge("commit_queue_jobs", "Changes and events that wait for a commit.");
  readonly #queuedBytes = this.#gauge("commit_queue_bytes", "What they hold.");
  readonly #clockBehind = this.#gauge("clock_behind_seconds", "How far the machine's clock is behind the last event.");
  readonly #clockAhead = this.#gauge(
    "clock_ahead_of_database_seconds",
    "How far the machine's clock is ahead of the database server's; below 0 it is behind.",
  );
  readonly #connections = this.#gauge("store_connections", "Connections to the database's server.", ["state"]);
  readonly #connectionsWaiting = this.#gauge("store_connections_waiting", "Who waits for one of them.");
  readonly #checkpointAge = this.#gauge(
    "checkpoint_age_seconds",
    "Since checkpoints were last signed without a fault.",
  );
  readonly #checkpointEvents = this.#gauge("checkpoint_events", "Audit events that checkpoints cover, of all chains.");
  readonly #dataKeys = this.#gauge("data_keys", "Data keys in use: one for each environment.");
  readonly #dataKeyAge = this.#gauge("data_key_oldest_age_seconds", "Age of the oldest data key in use.");
  readonly #rootKeyAge = this.#gauge("root_key_age_seconds", "Age of the root key.");
  readonly #certificate = this.#gauge(
    "tls_certificate_expires_seconds",
    "Until the TLS certificate ends; below 0 it has.",
  );

  constructor(build: { version: string; store: string }, sample: () => Promise<VaultSample>) {
    this.#sample = sample;
    this.contentType = this.#registry.contentType;
    this.#gauge("build_info", "1; version, Node and store are its labels.", ["version", "node", "store"]).set(
      { ...build, node: process.version },
      1,
    );
    // Those that have no label of their own are there from the start, at 0.
    for (const code of ["rate_limited", "overloaded"]) this.#turnedAway.inc({ code }, 0);
    for (const step of ["mint", "exchange"]) this.#launches.inc({ step, outcome: "success" }, 0);
    collectDefaultMetrics({ register: this.#registry });
  }

  began(): void {
    this.#inFlight.inc();
  }

  ended({ operation, status, code, ms }: EndedRequest): void {
    this.#inFlight.dec();
    const name = operation ?? NO_OPERATION;
    const seconds = ms / 1000;
    this.#requests.inc({ operation: name, status: classOf(status), code: code ?? "" });
    this.#requestSeconds.observe({ operation: name }, seconds);
    if (code === "rate_limited" || code === "overloaded") this.#turn(code);
    const step = operation === null ? undefined : STEPS[operation];
    if (step === undefined) return;
    const worked = status !== null && code === null;
    this.#launches.inc({ step, outcome: status === null ? "aborted" : (code ?? "success") });
    if (step === "exchange" && worked) this.#exchangeSeconds.observe(seconds);
  }

  committed({ jobs, events, ok, ms, syncMs }: CommitMeasure): void {
    if (!ok) {
      this.#commitFailures.inc();
      return;
    }
    this.#batch.observe(jobs);
    this.#commitSeconds.observe(ms / 1000);
    this.#syncSeconds.observe(syncMs / 1000);
    this.#events.inc(events);
  }

  /** Turned away in the last five minutes. */
  turnedAway(): TurnedAway {
    const oldest = minute() - RECENT_MINUTES;
    const recent = this.#recent.filter((one) => one.minute > oldest);
    return {
      minutes: RECENT_MINUTES,
      rateLimited: recent.reduce((sum, one) => sum + one.rateLimited, 0),
      overloaded: recent.reduce((sum, one) => sum + one.overloaded, 0),
    };
  }

  /** The text format of Prometheus, version 0.0.4. */
  async text(): Promise<string> {
    const sample = await this.#sample();
    const since = (time: Date) => (sample.now.getTime() - time.getTime()) / 1000;
    this.#writable.set(sample.writable ? 1 : 0);
    this.#sealed.set(sample.sealed ? 1 : 0);
    this.#queuedJobs.set(sample.queuedJobs);
    this.#queuedBytes.set(sample.queuedBytes);
    this.#clockBehind.set(sample.clockBehindMs / 1000);
    const { connections, clockAheadMs } = sample;
    setOrRemove(this.#clockAhead, clockAheadMs === null ? null : clockAheadMs / 1000);
    setOrRemove(this.#connectionsWaiting, connections === null ? null : connections.waiting);
    if (connections !== null) {
      this.#connections.set({ state: "in_use" }, connections.inUse);
      this.#connections.set({ state: "idle" }, connections.idle);
    }
    // What there is not has no sample, and no made-up one.
    setOrRemove(this.#checkpointAge, sample.checkpointsAt === null ? null : since(sample.checkpointsAt));
    this.#checkpointEvents.set(sample.checkpointedEvents);
    this.#dataKeys.set(sample.dataKeys);
    setOrRemove(this.#dataKeyAge, sample.oldestDataKeyAt === null ? null : since(sample.oldestDataKeyAt));
    this.#rootKeyAge.set(since(sample.rootKeyAt));
    setOrRemove(this.#certificate, sample.certificateExpiresAt === null ? null : -since(sample.certificateExpiresAt));
    return this.#registry.metrics();
  }

  /** Each of the vault's own, for the documents. */
  described(): readonly MetricRow[] {
    // The library's types leave out what its objects hold.
    const all = this.#registry.getMetricsAsArray() as unknown as (MetricRow & { labelNames?: string[] })[];
    return all
      .filter(({ name }) => name.startsWith(PREFIX))
      .map(({ name, help, labelNames = [] }) => ({ name, help, labels: [...labelNames] }));
  }

  #turn(code: "rate_limited" | "overloaded"): void {
    this.#turnedAway.inc({ code });
    const now = minute();
    let last = this.#recent.at(-1);
    if (last?.minute !== now) {
      last = { minute: now, rateLimited: 0, overloaded: 0 };
      this.#recent.push(last);
      if (this.#recent.length > RECENT_MINUTES) this.#recent.shift();
    }
    last[code === "rate_limited" ? "rateLimited" : "overloaded"]++;
  }

  #counter<L extends string>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> {
    return new Counter({ name: `${PREFIX}${name}`, help, labelNames: [...labelNames], registers: [this.#registry] });
  }

  #gauge<L extends string>(name: string, help: string, labelNames: readonly L[] = []): Gauge<L> {
    return new Gauge({ name: `${PREFIX}${name}`, help, labelNames: [...labelNames], registers: [this.#registry] });
  }

  #histogram<L extends string>(
    name: string,
    help: string,
    buckets: readonly number[],
    labelNames: readonly L[] = [],
  ): Histogram<L> {
    const registers = [this.#registry];
    return new Histogram({
      name: `${PREFIX}${name}`,
      help,
      buckets: [...buckets],
      labelNames: [...labelNames],
      registers,
    });
  }
}

const PREFIX = "sallyport_";

const STEPS: Readonly<Partial<Record<OperationId, "mint" | "exchange">>> = {
  "token.mint": "mint",
  "token.exchange": "exchange",
};

/** The operations that can stand in a label, for whoever builds a dashboard. */
export const METRIC_OPERATIONS: readonly string[] = [...Object.keys(CATALOG), NO_OPERATION];

function classOf(status: number | null): string {
  return status === null ? "aborted" : `${String(Math.floor(status / 100))}xx`;
}

function setOrRemove(gauge: Gauge, value: number | null): void {
  if (value === null) gauge.remove();
  else gauge.set(value);
}

function minute(): number {
  return Math.floor(performance.now() / MINUTE);
}
