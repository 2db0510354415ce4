import type { Response } from "#contract";
import type { Command, Noun } from "../command.ts";
import { call, showList } from "../operation.ts";
import { DESCRIPTION, ENVIRONMENT, LIMIT, NAMESPACE, YES } from "../options.ts";
import type { Columns, Output } from "../output.ts";
import { formatTime } from "../text.ts";
import { diff, manifest, save, versions } from "./manifest.ts";
import { pin, unpin } from "./pin.ts";

type Workload = Response<"workload.get">;

const WORKLOAD = [["<workload>", "namespace/workload, or workload"]] as const;
const ACCESS = ["inherit", "explicit"] as const;
const ACCESS_OPTION = {
  flags: "--access <which>",
  meaning: "explicit: only grants on this workload count",
  choices: ACCESS,
} as const;

const COLUMNS: Columns<Workload> = {
  workload: (one) => `${one.namespace}/${one.name}`,
  manifest: (one) => one.latestVersion,
  deployed: (one) =>
    one.deployments.map(({ environment, version, follow }) => `${environment}:${follow ? "latest" : String(version)}`),
  state: (one) => one.state,
  by: (one) => one.createdBy,
  description: (one) => one.description,
};

function show(workload: Workload, out: Output): void {
  out.fields({
    workload: `${workload.namespace}/${workload.name}`,
    state: workload.state,
    access: workload.access,
    "latest manifest": workload.latestVersion,
    "dangerous variables allowed": workload.allowedVariables,
    description: workload.description,
    created: `${formatTime(workload.createdAt)} by ${workload.createdBy}`,
    id: workload.id,
  });
  if (workload.deployments.length === 0) {
    out.note("It is deployed nowhere: sallyport deploy <workload> --env <name>");
    return;
  }
  out.line("");
  out.table(workload.deployments, {
    environment: (one) => one.environment,
    version: (one) => one.version,
    "follows latest": (one) => one.follow,
    deployed: (one) => formatTime(one.deployedAt),
    by: (one) => one.deployedBy,
  });
}

function stateCommand(name: "enable" | "disable", state: "active" | "disabled", summary: string): Command {
  return call({
    name,
    summary,
    arguments: WORKLOAD,
    options: [NAMESPACE],
    examples: [`sallyport workload ${name} data-pipelines/etl`],
    operation: "workload.update",
    ask: (cli, given) => ({ params: cli.workload(given, given.argument(0)), body: { state } }),
    show,
  });
}

export const workload: Noun = {
  name: "workload",
  summary: "Workloads, their manifests and deployments",
  commands: [
    {
      name: "list",
      summary: "Workloads of a namespace, or of all that you can see",
      options: [NAMESPACE, { flags: "-a, --all", meaning: "in every namespace" }, LIMIT],
      examples: ["sallyport workload list -n data-pipelines", "sallyport workload list --all"],
      uses: ["workload.list", "workload.search"],
      async run(cli, given) {
        const empty = "Nothing here yet: no workload that you can see. Register one: sallyport workload create etl";
        if (given.flag("all")) {
          await showList(cli, given, { operation: "workload.search", ask: () => ({}), columns: COLUMNS, empty });
        } else {
          const params = { namespace: cli.namespace(given) };
          await showList(cli, given, { operation: "workload.list", ask: () => ({ params }), columns: COLUMNS, empty });
        }
      },
    },
    call({
      name: "show",
      summary: "A workload with its deployments",
      arguments: WORKLOAD,
      options: [NAMESPACE],
      examples: ["sallyport workload show data-pipelines/etl"],
      operation: "workload.get",
      ask: (cli, given) => ({ params: cli.workload(given, given.argument(0)) }),
      show,
    }),
    call({
      name: "create",
      summary: "Register a workload",
      arguments: WORKLOAD,
      options: [NAMESPACE, DESCRIPTION, { ...ACCESS_OPTION, otherwise: "inherit" }],
      examples: [
        "sallyport workload create data-pipelines/etl",
        "sallyport workload create etl -n data-pipelines --access explicit",
      ],
      operation: "workload.create",
      ask(cli, given) {
        const { namespace, workload: name } = cli.workload(given, given.argument(0));
        const [description, access] = [given.text("description"), given.choice("access", ACCESS)];
        const body = {
          name,
          ...(description === undefined ? {} : { description }),
          ...(access === undefined ? {} : { access }),
        };
        return { params: { namespace }, body };
      },
      show: (answer, out) => out.line(`Workload ${answer.namespace}/${answer.name} was registered.`),
    }),
    call({
      name: "update",
      summary: "Change description, access or the dangerous variables it may use",
      about:
        "Names like LD_PRELOAD or NODE_OPTIONS change what code a program loads: a manifest may use those allowed here.",
      arguments: WORKLOAD,
      options: [
        NAMESPACE,
        DESCRIPTION,
        ACCESS_OPTION,
        {
          flags: "--allow-variable <name>",
          meaning: "a dangerous variable it may use; those given replace those it has",
          many: true,
        },
      ],
      examples: ["sallyport workload update data-pipelines/etl --allow-variable NODE_OPTIONS"],
      operation: "workload.update",
      ask(cli, given) {
        const [description, access, allowed] = [
          given.text("description"),
          given.choice("access", ACCESS),
          given.list("allow-variable"),
        ];
        return {
          params: cli.workload(given, given.argument(0)),
          body: {
            ...(description === undefined ? {} : { description }),
            ...(access === undefined ? {} : { access }),
            ...(allowed === undefined ? {} : { allowedVariables: [...allowed] }),
          },
        };
      },
      show,
    }),
    stateCommand("enable", "active", "Let a workload be launched again"),
    stateCommand("disable", "disabled", "Let a workload not be launched"),
    save,
    versions,
    manifest,
    diff,
    pin,
    unpin,
    call({
      name: "undeploy",
      summary: "Take a workload out of an environment",
      arguments: WORKLOAD,
      options: [ENVIRONMENT, NAMESPACE],
      examples: ["sallyport workload undeploy data-pipelines/etl --env staging"],
      operation: "deployment.delete",
      ask: (cli, given) => ({
        params: { ...cli.workload(given, given.argument(0)), environment: cli.environment(given) },
      }),
      show: (_, out, given) => out.line(`${given.argument(0)} is no longer deployed there.`),
    }),
    call({
      name: "delete",
      summary: "Delete a workload; its tokens and leases end",
      arguments: WORKLOAD,
      options: [NAMESPACE, YES],
      examples: ["sallyport workload delete data-pipelines/etl"],
      operation: "workload.delete",
      confirm: (given) => `Delete workload ${given.argument(0)} with its manifests, and end its launches?`,
      ask: (cli, given) => ({ params: cli.workload(given, given.argument(0)) }),
      show: (_, out, given) => out.line(`Workload ${given.argument(0)} was deleted.`),
    }),
  ],
};
