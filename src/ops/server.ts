import { formatSize, formatSpan, isLoopback, isVaultError } from "#base";
import { readAddress } from "#storage";
import type { ServerInspection } from "#storage";
import { failed, ok, warning } from "./check.ts";
import type { Check, Finding, Scene } from "./check.ts";

/** What two clocks that are kept right differ by at most. */
const APART_MS = 5_000;
/** A vault whose clock is further from the server's does not start: its events would drag the other nodes' time along. */
const TOO_FAR_APART_MS = 60_000;

/** Of a database that is with a server. */
export const serverChecks: readonly Check[] = [
  { name: "database", about: "its server answers, and has this version's schema", only: "postgres", run: database },
  { name: "database role", about: "one that the row policies hold", only: "postgres", run: looked(role) },
  { name: "database clock", about: "as this machine's", only: "postgres", run: looked(clock) },
  {
    name: "durability",
    about: "what is acknowledged is on the server's disk",
    only: "postgres",
    run: looked(durability),
  },
  { name: "connections", about: "as many as the nodes take together", only: "postgres", run: looked(connections) },
  { name: "encryption", about: "of what goes to a server elsewhere", only: "postgres", run: looked(encryption) },
];

type Look = (server: ServerInspection, scene: Scene) => Finding;

/** What nobody could look at is not known to be right. */
function looked(look: Look): Check["run"] {
  return (scene) => {
    const { database: server } = scene;
    if (server === null || server instanceof Error || server.engine !== "postgres")
      return warning("not known: the database could not be looked at", "See the check of the database.");
    return look(server, scene);
  };
}

function database({ database: server }: Scene): Finding {
  if (server instanceof Error) {
    const what = isVaultError(server) ? (server.detail.faults?.[0]?.message ?? server.message) : "it cannot be used";
    if (isVaultError(server, "schema_unknown")) return failed(what, "Name another database with --store.");
    return failed(what, "See that the server runs, and that address, role and password are right (--store).");
  }
  if (server?.engine !== "postgres") return failed("it is not with a server", "Name it with --store.");
  const { version, bytes, missingMigrations: missing, rootKey } = server;
  const what = `PostgreSQL ${version}, ${formatSize(bytes)}`;
  if (missing.length > 0)
    return failed(
      `${what}; its schema lacks ${missing.join(", ")}`,
      "Run `sallyport db migrate` with the owner's address, once for all nodes.",
    );
  return ok(`${what}, ${rootKey === null ? "no vault in it yet" : "this version's schema"}`);
}

function role({ unsafeRole }: ServerInspection): Finding {
  if (unsafeRole === null) return ok("it owns nothing, and passes by no row policy");
  return failed(
    unsafeRole.replace(/\.$/, ""),
    "Make the roles with what `sallyport db roles` prints, and name the service's in --store.",
  );
}

function clock({ clockAheadMs }: ServerInspection): Finding {
  const apart = Math.abs(clockAheadMs);
  if (apart <= APART_MS) return ok(`${formatSpan(apart)} from this machine's`);
  const what = `this machine's clock is ${formatSpan(apart)} ${clockAheadMs > 0 ? "ahead of" : "behind"} the server's`;
  const remedy = "Set the clock that is wrong right, and let both be kept right (NTP).";
  return apart > TOO_FAR_APART_MS ? failed(`${what}: no vault starts`, remedy) : warning(what, remedy);
}

function durability({ durability: settings }: ServerInspection): Finding {
  const shown = Object.entries(settings)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");
  const off = Object.entries(settings).filter(([, value]) => value === "off");
  if (off.length > 0) {
    const names = off.map(([name]) => `${name} = on`).join(", ");
    return failed(`${shown}: a crash of the server loses what was acknowledged`, `Set ${names} at the server.`);
  }
  if (settings.synchronous_commit === "local" || settings.synchronous_commit === "remote_write")
    return warning(
      `${shown}: a standby that takes over may lack what was acknowledged`,
      "Set synchronous_commit = on where there are standbys.",
    );
  return ok(shown);
}

function connections({ connections: most, nodes }: ServerInspection, { config, running }: Scene): Finding {
  const held = nodes.filter(({ isHeld }) => isHeld).length;
  const count = Math.max(1, running === null ? held + 1 : held);
  const taken = count * config.storeConnections;
  const what = `${String(count)} ${count === 1 ? "node takes" : "nodes take"} up to ${String(taken)}, and there are ${String(most)}`;
  const remedy = "Raise max_connections (or the role's or database's limit), or lower --store-connections.";
  if (config.storeConnections > most) return failed(what, remedy);
  // A restart, in which the old and the new process overlap.
  return taken + config.storeConnections > most ? warning(`${what}: too few for a restart`, remedy) : ok(what);
}

function encryption({ encrypted }: ServerInspection, { config: { store } }: Scene): Finding {
  if (encrypted) return ok("TLS");
  const hosts = store.engine === "postgres" ? readAddress(store.url.reveal()).hosts : [];
  const isFar = hosts.some(({ host }) => !host.startsWith("/") && !isLoopback(host));
  if (!isFar) return ok("none, and the server is on this machine");
  return warning(
    "none: whoever is on the way reads names and people, and may answer in the server's place",
    "Take sslmode=disable out of the address: the server's certificate is then verified.",
  );
}
