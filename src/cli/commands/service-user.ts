import type { Response } from "#contract";
import type { Command, Noun, Option } from "../command.ts";
import type { Given } from "../given.ts";
import { issue } from "../issued.ts";
import type { Issued } from "../issued.ts";
import { call, list } from "../operation.ts";
import { DESCRIPTION, OUTPUT, YES } from "../options.ts";
import type { Output } from "../output.ts";
import { formatTime } from "../text.ts";
import { splitToken } from "#client";

type ServiceUser = Response<"service-user.update">;
type NewToken = Response<"service-token.create">;

const NAME = [["<name>", "the service user"]] as const;
const KINDS = ["ci", "agent", "runner"] as const;
const NEW_TOKEN: readonly Option[] = [
  { flags: "--note <text>", meaning: "where the token will lie" },
  { flags: "--expires <time>", meaning: "when the token ends: 90d, 2026-12-31", otherwise: "never" },
  { flags: "--cidr <range>", meaning: "the token is good only from here", many: true },
  OUTPUT,
];

function newTokenOf(given: Given) {
  const [note, expiresAt, cidrs] = [given.text("note"), given.time("expires"), given.list("cidr")];
  return {
    ...(note === undefined ? {} : { note }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(cidrs === undefined ? {} : { cidrs: [...cidrs] }),
  };
}

function issuedToken(name: string, token: NewToken): Issued {
  const { id, secret } = splitToken(token.token);
  return {
    credentials: [token.token],
    forPeople: ["", "The same as two variables:", `SALLYPORT_TOKEN_ID=${id}`, `SALLYPORT_TOKEN_SECRET=${secret}`],
    notes: [
      `This is a token of ${name} (${token.id}); it is shown once. It ends ${token.expiresAt === null ? "when it is deleted" : formatTime(token.expiresAt)}.`,
      "Keep it in a 0600 file and use it with --credential-file.",
    ],
  };
}

function show(one: ServiceUser, out: Output): void {
  out.fields({
    name: one.name,
    kind: one.kind,
    state: one.state,
    description: one.description,
    created: formatTime(one.createdAt),
    id: one.id,
  });
}

function stateCommand(name: "enable" | "disable", state: "active" | "disabled", summary: string): Command {
  return call({
    name,
    summary,
    arguments: NAME,
    examples: [`sallyport service-user ${name} etl-runner`],
    operation: "service-user.update",
    ask: (_, given) => ({ params: { serviceUser: given.argument(0) }, body: { state } }),
    show,
  });
}

export const serviceUser: Noun = {
  name: "service-user",
  summary: "Service users (ci, agent, runner) and their tokens",
  commands: [
    list({
      name: "list",
      summary: "Service users of your org",
      examples: ["sallyport service-user list"],
      operation: "service-user.list",
      ask: () => ({}),
      columns: {
        name: (one) => one.name,
        kind: (one) => one.kind,
        state: (one) => one.state,
        created: (one) => formatTime(one.createdAt),
        description: (one) => one.description,
      },
      empty: "Nothing here yet: no service user. Make one: sallyport service-user create etl-runner --kind runner",
    }),
    call({
      name: "show",
      summary: "One service user with its tokens' metadata",
      arguments: NAME,
      examples: ["sallyport service-user show etl-runner"],
      operation: "service-user.get",
      ask: (_, given) => ({ params: { serviceUser: given.argument(0) } }),
      show(one, out) {
        show(one, out);
        if (one.tokens.length === 0) return;
        out.line("");
        out.table(one.tokens, {
          token: (token) => token.id,
          created: (token) => formatTime(token.createdAt),
          ends: (token) => (token.expiresAt === null ? "never" : formatTime(token.expiresAt)),
          "last used": (token) => formatTime(token.lastUsedAt),
          from: (token) => token.lastUsedFrom,
          "only from": (token) => token.cidrs,
          note: (token) => token.note,
        });
      },
    }),
    {
      name: "create",
      summary: "Create a service user; its token is shown once",
      about:
        "A runner restarts by itself and takes delivery of one workload: give it the role `service` with `grant create`.",
      arguments: NAME,
      options: [
        { flags: "--kind <kind>", meaning: "what it is", choices: KINDS, required: true },
        DESCRIPTION,
        ...NEW_TOKEN,
      ],
      examples: [
        "sallyport service-user create etl-runner --kind runner --output runner.token",
        "sallyport service-user create deployer --kind ci --expires 90d",
      ],
      uses: ["service-user.create"],
      async run(cli, given) {
        const [kind, description] = [given.choice("kind", KINDS) ?? "ci", given.text("description")];
        const body = {
          name: given.argument(0),
          kind,
          ...(description === undefined ? {} : { description }),
          ...newTokenOf(given),
        };
        await issue(
          cli,
          given,
          () => cli.call("service-user.create", { body }),
          (answer) => issuedToken(answer.serviceUser.name, answer.token),
        );
      },
    },
    call({
      name: "update",
      summary: "Change a service user's description",
      arguments: NAME,
      options: [{ ...DESCRIPTION, required: true }],
      examples: ['sallyport service-user update etl-runner --description "on host db-1"'],
      operation: "service-user.update",
      ask: (_, given) => ({
        params: { serviceUser: given.argument(0) },
        body: { description: given.text("description") ?? "" },
      }),
      show,
    }),
    stateCommand("enable", "active", "Let a service user act again"),
    stateCommand("disable", "disabled", "Let a service user not act"),
    {
      name: "new-token",
      summary: "Another token for a service user, shown once",
      about: "To change a token without a gap: make the new one, put it in place, then end the old one.",
      arguments: NAME,
      options: NEW_TOKEN,
      examples: ["sallyport service-user new-token etl-runner --expires 90d --output runner.token"],
      uses: ["service-token.create"],
      async run(cli, given) {
        const params = { serviceUser: given.argument(0) };
        await issue(
          cli,
          given,
          () => cli.call("service-token.create", { params, body: newTokenOf(given) }),
          (answer) => issuedToken(params.serviceUser, answer),
        );
      },
    },
    call({
      name: "end-token",
      summary: "End a token of a service user",
      arguments: [...NAME, ["<id>", "the token's id, from `service-user show`"]],
      examples: ["sallyport service-user end-token etl-runner crd_01jz8m5q3vf0bt6y7w2x9k4e1h"],
      operation: "service-token.delete",
      ask: (_, given) => ({ params: { serviceUser: given.argument(0), id: given.argument(1) } }),
      show: (_, out) => out.line("The token was ended."),
    }),
    call({
      name: "delete",
      summary: "Delete a service user; access ends at once",
      arguments: NAME,
      options: [YES],
      examples: ["sallyport service-user delete etl-runner"],
      operation: "service-user.delete",
      confirm: (given) => `Delete service user ${given.argument(0)}? Access ends at once.`,
      ask: (_, given) => ({ params: { serviceUser: given.argument(0) } }),
      show: (_, out, given) => out.line(`Service user ${given.argument(0)} was deleted.`),
    }),
  ],
};
