import type { Response } from "#contract";
import type { Cli } from "../cli.ts";
import type { Command } from "../command.ts";
import type { Given } from "../given.ts";
import { describePlace, readToken, tokenKind } from "#client";
import type { Place } from "#client";
import { CliError, usage } from "../error.ts";
import { withoutLineEnd } from "../input.ts";
import { forgetCredential, keepCredential } from "../profile.ts";
import { formatTime } from "../text.ts";

export const login: Command = {
  name: "login",
  summary: "Sign in and keep the session in a profile",
  about:
    "The session goes to the system's keyring, or where there is none to a file that only you can read. At the machine's own " +
    "socket no login is needed while there is one user. " +
    "With --set-up it takes the one-time credential that the first start of the vault, or an invitation, has shown, and you " +
    "choose a password. Without a terminal, stdin holds the password; with --set-up the credential on its first line and the " +
    "password on its second, or only the password where --set-up-file names the credential's file.",
  options: [
    { flags: "--org <slug>", meaning: "the org to sign in to", otherwise: "the instance's only one" },
    { flags: "--login <name>", meaning: "who you are" },
    { flags: "--password-stdin", meaning: "read the password from stdin" },
    { flags: "--set-up", meaning: "use a one-time set-up credential and choose a password" },
    { flags: "--set-up-file <file>", meaning: "the 0600 file that holds the set-up credential" },
    { flags: "-e, --env <name>", meaning: "what --env is with this profile where it is not given" },
    {
      flags: "--no-keyring",
      meaning: "keep the session in a file, also where there is a keyring (SALLYPORT_NO_KEYRING=1)",
    },
  ],
  examples: [
    "sallyport login --org main --login ada",
    "sallyport login --set-up",
    "sallyport login --profile prod --address https://vault.example.com --org acme --login ada",
    "sallyport login --login ada --password-stdin < password.txt",
  ],
  uses: ["session.create", "set-up.complete"],
  remedies: { token_invalid: "Ask an admin for a new set-up credential." },
  async run(cli, given) {
    const { place, profile, profileName } = cli.where(true);
    const isSetUp = given.flag("set-up") || given.text("set-up-file") !== undefined;
    const session = isSetUp ? await setUp(cli, given) : await signIn(cli, given);
    const keyring = given.flag("keyring") && cli.env.SALLYPORT_NO_KEYRING !== "1";
    const kept = await keepCredential(
      {
        name: profileName,
        ...addressOf(place),
        org: session.org,
        login: session.login,
        environment: given.text("env") ?? profile?.environment ?? null,
        expiresAt: session.expiresAt,
      },
      session.token,
      cli.env,
      keyring,
    );
    // The token itself is for the profile alone: it is not part of the output, also not of JSON.
    if (cli.out.json)
      cli.out.value({
        profile: profileName,
        org: session.org,
        login: session.login,
        expiresAt: session.expiresAt,
        keptIn: kept.keptIn,
      });
    else {
      cli.out.line(
        `Signed in to ${session.org} at ${describePlace(place)} as ${session.login}, until ${formatTime(session.expiresAt)} at most.`,
      );
      cli.out.note(
        `The session is kept in ${kept.keptIn === "keyring" ? "the system's keyring" : "a file that only you can read"} (profile ${profileName}).`,
      );
    }
  },
};

export const logout: Command = {
  name: "logout",
  summary: "End the session at the vault and forget it here",
  about: "Where the vault does not answer, the session is forgotten here all the same and ends there by itself.",
  examples: ["sallyport logout", "sallyport logout --profile prod"],
  uses: ["session.end"],
  async run(cli) {
    const { profile } = cli.where();
    if (profile?.keptIn == null) {
      cli.out.note("You were not signed in.");
      return;
    }
    let ended = true;
    try {
      await cli.call("session.end", {});
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      ended = error.code === "unauthenticated";
      if (!ended) cli.out.warn(`The vault could not be told (${error.message}); the session ends there by itself.`);
    }
    await forgetCredential(profile, cli.env);
    if (cli.out.json) cli.out.value({ profile: profile.name, ended });
    else cli.out.line(`Signed out of ${profile.org}.`);
  },
};

type Session = Response<"session.create">;

async function signIn(cli: Cli, given: Given): Promise<Session> {
  const fromStdin = given.flag("password-stdin");
  if (!fromStdin && !cli.input.isTerminal)
    throw usage("There is no terminal to ask for the password at: say --password-stdin.");
  const { profile } = cli.where(true);
  const org = given.text("org") ?? profile?.org;
  const name = given.text("login") ?? (fromStdin ? profile?.login : await cli.input.ask("Login", profile?.login));
  if (name === undefined) throw usage("--login is missing.");
  const password = fromStdin
    ? withoutLineEnd(await cli.input.bytes(MAX_PASSWORD_BYTES)).toString("utf8")
    : await cli.input.hidden("Password");
  return cli.call("session.create", {
    body: { ...(org === undefined || org === "" ? {} : { org }), login: name, password },
  });
}

async function setUp(cli: Cli, given: Given): Promise<Session> {
  const file = readToken({ file: given.text("set-up-file"), fd: undefined }, ["set"], cli.env);
  let bearer = file?.token;
  let password: string | undefined;
  if (cli.input.isTerminal) {
    bearer ??= (await cli.input.hidden("One-time set-up credential")).trim();
  } else {
    const lines = await cli.input.lines();
    bearer ??= (lines.shift() ?? "").trim();
    password = lines.shift();
  }
  if (tokenKind(bearer) !== "set")
    throw usage("That is not a set-up credential: it begins with sp_set_ and is one word.");
  password ??= cli.input.isTerminal ? await cli.input.newPassword() : "";
  if (password === "")
    throw usage("The new password is missing: it is the second line of stdin, or the first with --set-up-file.");
  return cli.call("set-up.complete", { bearer, body: { password } });
}

function addressOf(place: Place) {
  return place.kind === "socket"
    ? { address: null, socket: place.path }
    : { address: describePlace(place), socket: null };
}

const MAX_PASSWORD_BYTES = 4096;
