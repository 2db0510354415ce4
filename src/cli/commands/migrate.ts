import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { Redacted, formatSpan, isVaultError } from "#base";
import type { ErrorCode } from "#base";
import type { MoveStep, Moved, NamedStore } from "#ops";
import { withoutPassword } from "#settings";
import type { Settings, StorePlace } from "#settings";
import type { Cli } from "../cli.ts";
import type { Command } from "../command.ts";
import { CliError, usage } from "../error.ts";
import type { Given } from "../given.ts";
import { ProgressLine } from "../progress.ts";
import { SETTING_OPTIONS, givenSettings } from "../settings.ts";

const SETTINGS_TAKEN = ["--config", "--data", "--keys", "--checkpoints"];

const STEPS: Readonly<Record<MoveStep, string>> = {
  count: "Tables counted",
  copy: "Rows copied",
  compare: "Rows compared",
  prove: "Rows that prove themselves",
  open: "Values that open",
  audit: "Audit logs verified",
};

/** What to do where the error's own remedy thinks of a vault. */
const REMEDIES: Readonly<Partial<Record<ErrorCode, string>>> = {
  in_use: "Stop the vault, on all its nodes, and run this again. A node that was killed counts for 30 seconds more.",
  store_unavailable: "What was copied until then stays. When the reason is gone, run the same again: it goes on.",
  outcome_unknown: "Run the same again: it goes on, or says that everything is there.",
  integrity_failed:
    "No vault starts on the target as it is. Look into the source: `sallyport audit verify`, with the vault running on it.",
  migration_needed:
    "A source is brought up to date by one start of this version's vault. The schema of an empty target is made as its owner: --schema-owner.",
};

export const migrate: Command = {
  name: "migrate",
  summary: "Copy a stopped vault to another database, from SQLite to PostgreSQL or back",
  about:
    "For the person at the vault's machine, with the vault stopped on all its nodes. Everything is copied as it is stored: values stay " +
    "encrypted, tokens that were used stay used. Then what arrived is compared row by row, every row proves itself, every value " +
    "opens, every audit log is verified; until then no vault starts on the target. The source is only read.\n\n" +
    "The target has to be empty. A copy that was interrupted goes on when the same is run again.\n\n" +
    "A place is sqlite:<folder> or postgres://role@host/database. The one that is not given is the vault's own, as its settings " +
    "name it: with SALLYPORT_STORE and SALLYPORT_STORE_MIGRATE set to the new database, `--from` is enough. Passwords are read " +
    "from files, from those variables, or from libpq's (PGPASSFILE).",
  options: [
    { flags: "--from <place>", meaning: "where the vault is", otherwise: "the store of the settings" },
    { flags: "--to <place>", meaning: "where it goes", otherwise: "the store of the settings" },
    { flags: "--from-password-file <file>", meaning: "a file, mode 0600, with the password of the role in --from" },
    { flags: "--to-password-file <file>", meaning: "the same for --to" },
    {
      flags: "--schema-owner <url>",
      meaning:
        "the target as the owner of its tables, for a database that has none yet: postgres://owner@host/database",
      otherwise: "SALLYPORT_STORE_MIGRATE, where the target is the store of the settings",
    },
    { flags: "--schema-owner-password-file <file>", meaning: "the same for --schema-owner" },
    ...SETTING_OPTIONS.filter(({ flags }) => SETTINGS_TAKEN.includes(flags.split(" ")[0] ?? "")),
  ],
  examples: [
    "sallyport migrate --from sqlite:./data --to postgres://sallyport_app@db.internal/sallyport --to-password-file app.password --schema-owner postgres://sallyport_owner@db.internal/sallyport --schema-owner-password-file owner.password",
    "sallyport migrate --from postgres://sallyport_app@db.internal/sallyport --to sqlite:./data-2",
  ],
  uses: [],
  async run(cli, given) {
    const { out } = cli;
    const settings = await givenSettings(cli, given);
    const { from, to } = placesOf(cli, given, settings);
    const [source, target] = [describe(from), describe(to)];
    if (source === target) throw usage("The source and the target are the same.");
    const { keysFolder } = settings.config;
    const checkpointFile = checkpointsOf(settings, from);
    const { findStore, move } = await import("#ops");
    const progress = new ProgressLine(cli.doors.stderr, out.json);
    const stop = new AbortController();
    const onSignal = (): void => {
      stop.abort();
    };
    for (const name of SIGNALS) process.once(name, onSignal);
    const began = performance.now();
    let hasBegun = false;
    try {
      const moved = await move({
        from: await findStore(from),
        to: await findStore(to),
        keysFolder,
        checkpointFile,
        signal: stop.signal,
        onProgress({ step, table, done, of }) {
          if (step !== "count") hasBegun = true;
          progress.show({ name: STEPS[step], what: table, done, of });
        },
      });
      progress.end();
      if (!existsSync(checkpointFile))
        out.warn(
          `There is no checkpoint file ${checkpointFile}: the log was held against the checkpoints in the database alone. --checkpoints names another.`,
        );
      tell(cli, moved, { from: source, to: target, keysFolder, checkpointFile, ms: performance.now() - began });
    } catch (error) {
      progress.end();
      throw inWordsOfACopy(error, { isStopped: stop.signal.aborted, hasBegun });
    } finally {
      for (const name of SIGNALS) process.off(name, onSignal);
    }
  },
};

/** A second one ends the process at once, which does no harm either. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

function placesOf(cli: Cli, given: Given, settings: Settings): { from: NamedStore; to: NamedStore } {
  const [from, to] = [given.text("from"), given.text("to")];
  if (from === undefined && to === undefined)
    throw usage("Say where the vault is, or where it goes: --from or --to. The other is the store of the settings.");
  const { store, storePasswordFile, storeMigrate, dataFolder } = settings.config;
  const file = (option: string): string | null => {
    const path = given.text(option);
    return path === undefined ? null : resolve(cli.folder, path);
  };
  const owner = given.text("schema-owner");
  if (owner !== undefined) checkAddress("--schema-owner", owner);
  const named = (option: "from" | "to", text: string | undefined): NamedStore => {
    const passwordFile = file(`${option}-password-file`);
    const place =
      text === undefined ? { place: store, folder: dataFolder } : read(option, text, cli.folder, dataFolder);
    const isOwn = text === undefined;
    return {
      ...place,
      passwordFile: passwordFile ?? (isOwn ? storePasswordFile : null),
      owner: option === "from" ? null : owner !== undefined ? new Redacted(owner) : isOwn ? storeMigrate : null,
      ownerPasswordFile: option === "from" ? null : file("schema-owner-password-file"),
    };
  };
  const places = { from: named("from", from), to: named("to", to) };
  for (const option of ["from", "to"] as const)
    if (places[option].place.engine === "sqlite" && file(`${option}-password-file`) !== null)
      throw usage(`SQLite has no roles: --${option}-password-file belongs to a postgres:// address.`);
  if (places.to.place.engine === "sqlite" && owner !== undefined)
    throw usage("SQLite has no roles: --schema-owner belongs to a target with a postgres:// address.");
  return places;
}

function read(
  option: string,
  text: string,
  folder: string,
  dataFolder: string,
): { readonly place: StorePlace; readonly folder: string } {
  if (text === "sqlite") return { place: { engine: "sqlite" }, folder: dataFolder };
  const path = /^sqlite:(?:\/\/)?(.+)$/.exec(text)?.[1];
  if (path !== undefined) return { place: { engine: "sqlite" }, folder: resolve(folder, path) };
  checkAddress(`--${option}`, text);
  return { place: { engine: "postgres", url: new Redacted(text) }, folder: dataFolder };
}

/** What is typed is seen by everybody on the machine who asks which programs run, so it may hold no password. */
function checkAddress(option: string, text: string): void {
  if (!/^postgres(?:ql)?:\/\/\S+$/.test(text))
    throw usage(`${option} is no place: sqlite:<folder>, or postgres://role@host:port/database.`);
  if (/^[a-z]+:\/\/[^@/?#]*:[^@/?#]*@/.test(text) || /[?&]password=/i.test(text))
    throw usage(
      `${option} holds a password, which others on this machine could see. Leave it out and name its file: ${option}-password-file.`,
    );
}

function describe({ place, folder }: NamedStore): string {
  return place.engine === "sqlite" ? `sqlite:${folder}` : withoutPassword(place.url);
}

/** Beside the database, unless it was said where. */
function checkpointsOf({ config, held }: Settings, { place, folder }: NamedStore): string {
  const isSaid = held.some(({ name, origin }) => name === "checkpoints" && origin.from !== "default");
  return place.engine === "sqlite" && !isSaid ? join(folder, "checkpoints.log") : config.checkpointFile;
}

interface Told {
  readonly from: string;
  readonly to: string;
  readonly keysFolder: string;
  readonly checkpointFile: string;
  readonly ms: number;
}

function tell({ out }: Cli, moved: Moved, { from, to, keysFolder, checkpointFile, ms }: Told): void {
  if (out.json) {
    const tables = moved.tables.map(({ table, rows, digest }) => ({ table, rows, digest: digest.toString("hex") }));
    out.value({ ...moved, from, to, seconds: Math.round(ms / 100) / 10, tables });
    return;
  }
  out.table(moved.tables, {
    table: ({ table }) => table,
    rows: ({ rows }) => rows,
    digest: ({ digest }) => digest.toString("hex").slice(0, 16),
  });
  const rows = moved.tables.reduce((sum, table) => sum + table.rows, 0);
  const events = moved.chains.reduce((sum, chain) => sum + chain.events, 0);
  out.line(
    `Copied ${String(rows)} rows of ${String(moved.orgs)} ${moved.orgs === 1 ? "org" : "orgs"} from ${from} to ${to} in ${formatSpan(ms)}.`,
  );
  out.line(
    `Every row is the same, ${String(moved.proved)} proved themselves, ${String(moved.values)} values open, ${String(events)} audit events verify.`,
  );
  const start = to.startsWith("sqlite:")
    ? `sallyport up --data ${to.slice("sqlite:".length)} --keys ${keysFolder} --checkpoints ${checkpointFile}`
    : `sallyport up --store ${to} --keys ${keysFolder}`;
  out.note(`Start it there: ${start}`);
  out.note(`The key files stay in ${keysFolder}, and the checkpoints in ${checkpointFile}: every node needs the keys.`);
  out.note(
    `${from} still holds the whole vault. Never start it again: a token used at one would be good at the other. Put it away when the new one serves.`,
  );
}

function inWordsOfACopy(error: unknown, { isStopped, hasBegun }: { isStopped: boolean; hasBegun: boolean }): unknown {
  if (!isVaultError(error)) return error;
  if (isStopped && error.code === "copy_unfinished")
    return new CliError("interrupted", "Interrupted. What was copied stays, and no vault starts on it.", {
      remedy: "Run the same again: it goes on.",
    });
  if (error.code === "store_unavailable" && !hasBegun)
    return new CliError(error.code, error.message, { remedy: "Nothing was copied." });
  const remedy = REMEDIES[error.code];
  return remedy === undefined ? error : new CliError(error.code, error.message, { remedy, detail: error.detail });
}
