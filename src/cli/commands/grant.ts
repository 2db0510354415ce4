import type { Cli } from "../cli.ts";
import type { Noun } from "../command.ts";
import type { Given } from "../given.ts";
import { usage } from "../error.ts";
import { call, list } from "../operation.ts";
import { formatTime } from "../text.ts";

/** Where a grant holds. What is not named is everywhere, so naming nothing has to be meant. */
function scopeOf(cli: Cli, given: Given) {
  const named = (option: string) => {
    const text = given.text(option);
    return text === "*" ? undefined : text;
  };
  const [environment, namespace, workload] = [named("env"), named("namespace"), named("workload")];
  if (environment === undefined && namespace === undefined && workload === undefined && !given.flag("everywhere")) {
    throw usage("Say where: --env, --namespace or --workload; or --everywhere for the whole org.");
  }
  return {
    ...(environment === undefined ? {} : { environment }),
    ...(workload === undefined ? (namespace === undefined ? {} : { namespace }) : cli.workload(given, workload)),
  };
}

export const grant: Noun = {
  name: "grant",
  summary: "Grants: who has which role where",
  commands: [
    list({
      name: "list",
      summary: "Grants of your org, or of one principal",
      options: [{ flags: "--principal <name>", meaning: "only this user's or service user's" }],
      examples: ["sallyport grant list", "sallyport grant list --principal ada"],
      operation: "grant.list",
      ask(_, given) {
        const principal = given.text("principal");
        return { query: principal === undefined ? {} : { principal } };
      },
      columns: {
        principal: (one) => one.principal,
        role: (one) => one.role,
        environment: (one) => one.environment ?? "*",
        namespace: (one) => one.namespace ?? "*",
        workload: (one) => one.workload ?? "*",
        starts: (one) => formatTime(one.startsAt),
        ends: (one) => formatTime(one.endsAt),
        by: (one) => one.grantedBy,
        id: (one) => one.id,
      },
      empty: "Nothing here yet: no grant. Give one: sallyport grant create ada builder --env dev",
    }),
    call({
      name: "create",
      summary: "Give a user or service user a role on a scope",
      about: "Where a grant covers, it takes the place of the environment's default, also where it gives less.",
      arguments: [
        ["<principal>", "a user's login or a service user's name"],
        ["<role>", "the role: see `role list`"],
      ],
      options: [
        { flags: "-e, --env <name>", meaning: "in this environment", otherwise: "in every one" },
        { flags: "-n, --namespace <name>", meaning: "in this namespace", otherwise: "in every one" },
        { flags: "-w, --workload <namespace/workload>", meaning: "on this workload" },
        { flags: "--everywhere", meaning: "in the whole org" },
        { flags: "--starts <time>", meaning: "from when: 1d, 2026-12-31", otherwise: "now" },
        { flags: "--ends <time>", meaning: "until when: 30d, 2026-12-31", otherwise: "until it is deleted" },
        { flags: "--reason <text>", meaning: "why; goes into the audit log" },
      ],
      examples: [
        "sallyport grant create ada builder --env dev",
        "sallyport grant create etl-runner service --env prod --workload data-pipelines/etl",
        'sallyport grant create olaf operator --env prod -n data-pipelines --ends 30d --reason "on call in June"',
      ],
      operation: "grant.create",
      ask(cli, given) {
        const [startsAt, endsAt, reason] = [given.time("starts"), given.time("ends"), given.text("reason")];
        return {
          body: {
            principal: given.argument(0),
            role: given.argument(1),
            ...scopeOf(cli, given),
            ...(startsAt === undefined ? {} : { startsAt }),
            ...(endsAt === undefined ? {} : { endsAt }),
            ...(reason === undefined ? {} : { reason }),
          },
        };
      },
      show(one, out) {
        const scope = `${one.environment ?? "*"}/${one.namespace ?? "*"}${one.workload === null ? "" : `/${one.workload}`}`;
        const ends = one.endsAt === null ? "" : ` until ${formatTime(one.endsAt)}`;
        out.line(`${one.principal} is ${one.role} on ${scope}${ends} (${one.id}).`);
      },
    }),
    call({
      name: "delete",
      summary: "Take a grant away; the default applies again",
      arguments: [["<id>", "the grant's id, from `grant list`"]],
      examples: ["sallyport grant delete grt_01jz8m5q3vf0bt6y7w2x9k4e1h"],
      operation: "grant.delete",
      ask: (_, given) => ({ params: { id: given.argument(0) } }),
      show: (_, out) => out.line("The grant was taken away."),
    }),
  ],
};
