import { isIPv6 } from "node:net";
import { resolve } from "node:path";
import { z } from "zod";
import { LOGIN, NAME, VaultError, isLoopback } from "#base";

/** The settings of a running vault. Frozen; holds no secret. */
export interface Config {
  readonly dataFolder: string;
  readonly keysFolder: string;
  /** Where signed checkpoints go: best on another disk than the data. */
  readonly checkpointFile: string;
  readonly host: string;
  readonly port: number;
  readonly insecurePlainHttp: boolean;
  /** For the first start only. */
  readonly org: string;
  readonly owner: string;
  readonly logLevel: "fatal" | "error" | "warn" | "info" | "debug" | "trace";
  /** Addresses and ranges of proxies whose X-Forwarded-For is believed. */
  readonly trustedProxies: readonly string[];
  /** How many wrong passwords and set-up credentials one source may show in ten seconds. */
  readonly failuresPerTenSeconds: number;
  /** How long requests in flight may take after SIGTERM. */
  readonly drainSeconds: number;
}

const flag = z.enum(["true", "false", "1", "0", ""]).transform((text) => text === "true" || text === "1");
const count = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, "a whole number")
    .transform(Number)
    .pipe(z.number().min(min).max(max));
const range = z.union([z.cidrv4(), z.cidrv6(), z.ipv4(), z.ipv6()], "an address or a CIDR range");

const SETTINGS = z.object({
  data: z.string().min(1, "a folder"),
  keys: z.string().min(1, "a folder"),
  checkpoints: z.string().min(1, "a file").optional(),
  listen: z.string().transform((text, context) => {
    const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
    const host = match?.[1] ?? match?.[2];
    const port = Number(match?.[3]);
    if (host === undefined || port > 65_535 || (match?.[1] !== undefined && !isIPv6(host))) {
      context.addIssue({ code: "custom", message: "host:port, like 127.0.0.1:7433 or [::1]:7433" });
      return z.NEVER;
    }
    return { host, port };
  }),
  org: z.string().regex(NAME, "lower-case letters, digits, - and _"),
  owner: z.string().regex(LOGIN, "lower-case letters, digits, - _ . + and one @"),
  logLevel: z.enum(["fatal", "error", "warn", "info", "debug", "trace"], "fatal, error, warn, info, debug or trace"),
  insecurePlainHttp: flag,
  trustedProxies: z
    .string()
    .default("")
    .transform((text) =>
      text
        .split(",")
        .map((one) => one.trim())
        .filter((one) => one !== ""),
    )
    .pipe(z.array(range)),
  maxFailures: count(1, 1_000_000).default(20),
  drainSeconds: count(0, 3_600).default(30),
});

/** What each setting is called in the environment, for those that have no flag of their own. */
const VARIABLES = {
  checkpoints: "SALLYPORT_CHECKPOINTS",
  trustedProxies: "SALLYPORT_TRUSTED_PROXIES",
  maxFailures: "SALLYPORT_MAX_FAILURES",
  drainSeconds: "SALLYPORT_DRAIN_SECONDS",
} as const;

/**
 * Settings from what `sallyport up` was told and the environment.
 *
 * @throws {VaultError} `config_invalid`, with every fault.
 */
export function readConfig(
  flags: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string | undefined>>,
): Config {
  const given = Object.fromEntries(
    Object.entries(VARIABLES).map(([name, variable]) => [name, env[variable] === "" ? undefined : env[variable]]),
  );
  const parsed = SETTINGS.safeParse({ ...given, ...flags });
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => ({
      field: String(issue.path[0] ?? "settings"),
      message: issue.message,
    }));
    throw new VaultError("config_invalid", undefined, { detail: { faults } });
  }
  const { data, keys, checkpoints, listen, maxFailures, ...rest } = parsed.data;
  if (!isLoopback(listen.host) && !rest.insecurePlainHttp) {
    const message = "plain HTTP only on a loopback address; behind a proxy that speaks TLS, say --insecure-plain-http";
    throw new VaultError("config_invalid", undefined, { detail: { faults: [{ field: "listen", message }] } });
  }
  return Object.freeze({
    ...rest,
    dataFolder: resolve(data),
    keysFolder: resolve(keys),
    checkpointFile: resolve(checkpoints ?? `${data}/checkpoints.log`),
    host: listen.host,
    port: listen.port,
    failuresPerTenSeconds: maxFailures,
  });
}
