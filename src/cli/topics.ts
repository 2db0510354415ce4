/** A page of the manual that is about no single command. */
export interface Topic {
  /** One sentence without a full stop. */
  readonly summary: string;
  /** Paragraphs of at most 78 columns. */
  readonly text: string;
  /** Topics and commands that go on from here. */
  readonly see: readonly string[];
}

/** `sallyport help TOPIC`. What is printed from a table (errors, exit codes) is in manual.ts. */
export const TOPICS: Readonly<Record<string, Topic>> = {
  start: {
    summary: "From nothing to a program with its secrets",
    text: `
In the folder of a project, in one terminal:

  $ sallyport up

This makes the folders data and keys (keep both out of git), an org, and its
owner. In another terminal, in the same folder:

  $ sallyport secret set DB_URL          asks for the value
  $ sallyport run -- npm start           npm has DB_URL in its environment

While there is one user, and the vault listens on this machine only, whoever
can open data/sallyport.sock is the owner. With a second user that ends: the
owner chooses a password with the set-up credential that the first start
showed (sallyport login --set-up), and everybody signs in.`,
    see: ["concepts", "launches", "access", "up", "run"],
  },
  concepts: {
    summary: "The words: org, environment, namespace, secret, workload, launch",
    text: `
  org          a tenant; nothing crosses it
  environment  dev, staging, prod; its mode is open, restricted or private
  namespace    a functional area, the same list in every environment
  scope        an environment and a namespace together
  secret       a NAME in a scope, with versions
  workload     a registered program, in a namespace
  manifest     its versioned list of variables, and what each refers to
  deployment   which manifest version a workload has in an environment
  principal    a user, or a service user (kind ci, agent or runner)
  grant        a principal has a role on a scope or workload, for a while
  mint         make an injection token, good once, for one launch
  exchange     give the token for the variables of the launch
  lease        what a launch holds from the exchange until it ends

Without more being said it is the environment dev, the namespace default, and
the workload default, which gets every secret of its scope.`,
    see: ["references", "launches", "access"],
  },
  references: {
    summary: "How a manifest names a secret, and how versions are pinned",
    text: `
  NAME                          of the workload's own namespace, in the
                                environment of the launch
  namespace/NAME                of another namespace, same environment
  environment/namespace/NAME    of another environment
  NAME@3                        version 3, whatever is newest (workload pin
                                and unpin change it)

  $ sallyport workload save etl --secret DB_URL \\
      --secret STRIPE_KEY=payments/STRIPE_KEY --value LOG_LEVEL=info \\
      --template 'DSN=postgres://\${DB_USER}:\${DB_PASS}@db/app'

A secret of another namespace must be offered by its policy (sallyport secret
policy). Another environment must be open. A reference is checked when the
manifest is deployed, when a token is minted, and when it is exchanged.`,
    see: ["launches", "workload save", "workload pin", "secret policy"],
  },
  launches: {
    summary: "Injection tokens, and how a program gets its variables once",
    text: `
  $ sallyport run --workload etl --env prod -- node job.js

mints an injection token, exchanges it, and starts the command with the
variables; nothing is written to a disk. The two halves can be apart:

  $ sallyport token mint etl --env prod --output launch.token
  $ sallyport run --token-file launch.token -- node job.js

A token is good once, for one workload in one environment, and for 60 seconds
(15 minutes if bound; --ttl says otherwise). Who may launch, but not take
delivery, mints a bound token: it also takes the credential of a runner that
may (--runner-file). Everything is checked again at the exchange, and if
anything is missing nothing is delivered and the token stays good.`,
    see: ["unattended", "references", "run", "token mint", "exchange"],
  },
  unattended: {
    summary: "Launches without a person: services, cron, CI, agents",
    text: `
What restarts by itself never holds an injection token. It has a service user
of kind runner, with the role service on one workload in one environment:

  $ sallyport service-user create etl-prod --kind runner --output etl.token
  $ sallyport grant create etl-prod service --env prod -w etl

and mints and exchanges at each start:

  $ sallyport run --credential-file etl.token -w etl --env prod -- ./etl

The file must be yours alone (mode 0600), or come from systemd's
LoadCredential=. Who takes it takes that workload's values: one per workload
and machine, with --cidr and --expires. CI and agents have the kinds ci and
agent, and get what grants give them.`,
    see: ["launches", "access", "service-user create", "grant create"],
  },
  access: {
    summary: "Who may do what: roles, grants, modes of environments",
    text: `
Owners and admins may do everything in their org. Members have what the mode
of an environment gives (open: contributor, restricted: viewer, private:
nothing), guests and agents nothing; a grant on an environment or namespace
takes the place of that, also where it gives less.

  $ sallyport role list                                  roles, permissions
  $ sallyport grant create bea builder --env prod -n etl --ends 30d
  $ sallyport whoami                                     what you hold where

A builder picks names and never sees a value. An operator launches and never
sees a name. Whoever may take delivery (injection.receive) may read. A refusal
says what is missing to those who may know that the thing exists; to all
others it says that there is no such thing.`,
    see: ["concepts", "errors", "role list", "grant create", "whoami"],
  },
  credentials: {
    summary: "Where the vault is, and who is calling",
    text: `
The vault, the first of these that is there:

  --address, --socket, --profile
  SALLYPORT_ADDRESS, SALLYPORT_SOCKET, SALLYPORT_PROFILE
  the profile default, which sallyport login keeps
  data/sallyport.sock in this folder or one above
  http://127.0.0.1:7433

The credential, the first of these that is there:

  --credential-file    yours or root's, mode 0600, or a systemd credential
  --credential-fd      an open descriptor:  --credential-fd 3 3<token
  SALLYPORT_TOKEN      warned of: children and /proc can show it
  the session that sallyport login keeps for this vault

Credentials travel over https, to this machine, or through a Unix socket, and
nowhere else unless --insecure-plain-http says so. A credential is never taken
from an argument.`,
    see: ["unattended", "login", "whoami"],
  },
};
