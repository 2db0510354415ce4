import type { Option } from "./command.ts";

/** Options that many commands share, each said in one way. */

export const ENVIRONMENT: Option = {
  flags: "-e, --env <name>",
  meaning: "environment",
  otherwise: "SALLYPORT_ENVIRONMENT, the project's or the profile's, else dev",
};
export const NAMESPACE: Option = {
  flags: "-n, --namespace <name>",
  meaning: "namespace",
  otherwise: "SALLYPORT_NAMESPACE, the project's, else default",
};
export const SCOPE: readonly Option[] = [ENVIRONMENT, NAMESPACE];
export const IF_VERSION: Option = {
  flags: "--if-version <number>",
  meaning: "only if this is its version now (If-Match)",
};
export const YES: Option = { flags: "-y, --yes", meaning: "do not ask" };
export const LIMIT: Option = { flags: "--limit <number>", meaning: "at most so many", otherwise: "all" };
export const DESCRIPTION: Option = { flags: "--description <text>", meaning: "what it is for" };
export const OUTPUT: Option = {
  flags: "-o, --output <file>",
  meaning: "write it to this file (0600) and not to stdout",
};
export const INSTANCE: Option = { flags: "--instance", meaning: "the instance's own log, and not your org's" };
export const TOKEN_FILE: Option = { flags: "--token-file <file>", meaning: "a 0600 file that holds the token" };
export const TOKEN_FD: Option = { flags: "--token-fd <number>", meaning: "an open descriptor that holds the token" };
export const TOKEN: readonly Option[] = [TOKEN_FILE, TOKEN_FD];
/** What to do about an injection token that is no longer good: who launches with it is seldom who minted it. */
export const MINTED_BY_ANOTHER = "Ask whoever minted it for a new one.";
export const RUNNER: readonly Option[] = [
  { flags: "--runner-file <file>", meaning: "a 0600 file with the runner's token, for a bound injection token" },
  { flags: "--runner-fd <number>", meaning: "an open descriptor with the runner's token" },
];

/** What every command takes. */
export const GLOBAL: readonly Option[] = [
  { flags: "--address <url>", meaning: "the vault's address (SALLYPORT_ADDRESS)" },
  { flags: "--socket <file>", meaning: "the vault's Unix socket (SALLYPORT_SOCKET)" },
  {
    flags: "--profile <name>",
    meaning: "a vault and a login kept by `sallyport login` (SALLYPORT_PROFILE)",
    otherwise: "default",
  },
  { flags: "--credential-file <file>", meaning: "a 0600 file or systemd credential that holds a token" },
  { flags: "--credential-fd <number>", meaning: "an open descriptor that holds a token" },
  {
    flags: "--ca-file <file>",
    meaning: "the authority of the vault's certificate, PEM; no other is trusted then (SALLYPORT_CA_FILE)",
  },
  {
    flags: "--client-cert <file>",
    meaning: "a client certificate with its chain, PEM, for a vault that wants one (SALLYPORT_CLIENT_CERT)",
  },
  { flags: "--client-key <file>", meaning: "its private key, PEM, a 0600 file (SALLYPORT_CLIENT_KEY)" },
  { flags: "--insecure-plain-http", meaning: "send credentials over http to another machine" },
  { flags: "--json", meaning: "print the API's JSON; on stderr one JSON object a line" },
];
