import type { Command, Noun } from "./command.ts";

interface NounRow {
  readonly group: string;
  readonly summary: string;
  /** A noun with commands, or a command that stands alone. */
  load(): Promise<Noun | Command>;
}

const START = "Start here:";
const KEEP = "Keep secrets:";
const LAUNCH = "Launch:";
const PEOPLE = "People and machines:";
const WATCH = "Watch:";

/** Everything that can stand after `sallyport`, in the order of the help. A noun's module is loaded when it is chosen. */
export const NOUNS: Readonly<Record<string, NounRow>> = {
  up: { group: START, summary: "Start the vault", load: async () => (await import("./commands/up.ts")).up },
  config: {
    group: START,
    summary: "The settings that `up` would start with",
    load: async () => (await import("./commands/config.ts")).config,
  },
  systemd: {
    group: START,
    summary: "Units for systemd, on Linux",
    load: async () => (await import("./commands/systemd.ts")).systemd,
  },
  login: {
    group: START,
    summary: "Sign in and keep the session in a profile",
    load: async () => (await import("./commands/login.ts")).login,
  },
  logout: {
    group: START,
    summary: "End the session and forget it here",
    load: async () => (await import("./commands/login.ts")).logout,
  },
  whoami: {
    group: START,
    summary: "Who you are and what you may do where",
    load: async () => (await import("./commands/whoami.ts")).whoami,
  },
  status: {
    group: START,
    summary: "How the vault is",
    load: async () => (await import("./commands/status.ts")).status,
  },

  doctor: {
    group: START,
    summary: "Check this machine and the files for the vault",
    load: async () => (await import("./commands/doctor.ts")).doctor,
  },
  db: {
    group: START,
    summary: "The PostgreSQL database that several nodes share",
    load: async () => (await import("./commands/db.ts")).db,
  },
  migrate: {
    group: START,
    summary: "Copy a stopped vault to another database",
    load: async () => (await import("./commands/migrate.ts")).migrate,
  },

  secret: {
    group: KEEP,
    summary: "Secrets: names, versions and values",
    load: async () => (await import("./commands/secret.ts")).secret,
  },
  env: {
    group: KEEP,
    summary: "Environments: dev, staging, prod, and their modes",
    load: async () => (await import("./commands/env.ts")).env,
  },
  ns: {
    group: KEEP,
    summary: "Namespaces: functional areas, the same in every environment",
    load: async () => (await import("./commands/ns.ts")).ns,
  },
  org: {
    group: KEEP,
    summary: "Your org, and the orgs of this instance",
    load: async () => (await import("./commands/org.ts")).org,
  },

  workload: {
    group: LAUNCH,
    summary: "Workloads, their manifests and deployments",
    load: async () => (await import("./commands/workload.ts")).workload,
  },
  deploy: {
    group: LAUNCH,
    summary: "Deploy a manifest version to an environment",
    load: async () => (await import("./commands/deploy.ts")).deploy,
  },
  run: {
    group: LAUNCH,
    summary: "Start a command with the variables of a launch",
    load: async () => (await import("./commands/run.ts")).run,
  },
  token: {
    group: LAUNCH,
    summary: "Mint injection tokens",
    load: async () => (await import("./commands/token.ts")).token,
  },
  exchange: {
    group: LAUNCH,
    summary: "Exchange an injection token for its variables, once",
    load: async () => (await import("./commands/exchange.ts")).exchange,
  },
  export: {
    group: LAUNCH,
    summary: "Write the variables of a launch as text",
    load: async () => (await import("./commands/export.ts")).exportVariables,
  },
  injection: {
    group: LAUNCH,
    summary: "Launches from mint to end",
    load: async () => (await import("./commands/injection.ts")).injection,
  },
  lease: {
    group: LAUNCH,
    summary: "The lease that a launch holds",
    load: async () => (await import("./commands/lease.ts")).lease,
  },

  user: { group: PEOPLE, summary: "Users", load: async () => (await import("./commands/user.ts")).user },
  "service-user": {
    group: PEOPLE,
    summary: "Service users (ci, agent, runner) and their tokens",
    load: async () => (await import("./commands/service-user.ts")).serviceUser,
  },
  grant: {
    group: PEOPLE,
    summary: "Grants: who has which role where",
    load: async () => (await import("./commands/grant.ts")).grant,
  },
  role: {
    group: PEOPLE,
    summary: "Roles and their permissions",
    load: async () => (await import("./commands/role.ts")).role,
  },
  session: {
    group: PEOPLE,
    summary: "Your sessions",
    load: async () => (await import("./commands/session.ts")).session,
  },
  password: {
    group: PEOPLE,
    summary: "Change your password",
    load: async () => (await import("./commands/password.ts")).password,
  },

  completion: {
    group: START,
    summary: "Completion for bash, zsh and fish",
    load: async () => (await import("./commands/completion.ts")).completion,
  },

  audit: { group: WATCH, summary: "The audit log", load: async () => (await import("./commands/audit.ts")).audit },
};
