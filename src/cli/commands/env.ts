import type { Response } from "#contract";
import type { Command, Noun } from "../command.ts";
import type { Given } from "../given.ts";
import { call, list } from "../operation.ts";
import { DESCRIPTION, YES } from "../options.ts";
import type { Output } from "../output.ts";
import { formatTime } from "../text.ts";

type Environment = Response<"environment.get">;

const NAME = [["<name>", "the environment"]] as const;
const MODE = {
  flags: "--mode <mode>",
  meaning: "who may do what there without a grant",
  choices: ["open", "restricted", "private"],
} as const;
const MODES = MODE.choices;
const LOCAL_RUN = {
  flags: "--local-run <on|off>",
  meaning: "on: whoever may run there may also take delivery, and so read the values",
  choices: ["on", "off"],
} as const;

function show(environment: Environment, out: Output): void {
  out.fields({
    name: environment.name,
    mode: environment.mode,
    "local runs": environment.localRun,
    state: environment.state,
    description: environment.description,
    created: formatTime(environment.createdAt),
    id: environment.id,
  });
}

/** Those of the options that were given. */
function settingsOf(given: Given) {
  const [mode, localRun, description] = [
    given.choice("mode", MODES),
    given.text("local-run"),
    given.text("description"),
  ];
  return {
    ...(mode === undefined ? {} : { mode }),
    ...(localRun === undefined ? {} : { localRun: localRun === "on" }),
    ...(description === undefined ? {} : { description }),
  };
}

function stateCommand(name: "enable" | "disable", state: "active" | "disabled", summary: string): Command {
  return call({
    name,
    summary,
    arguments: NAME,
    examples: [`sallyport env ${name} staging`],
    operation: "environment.update",
    ask: (_, given) => ({ params: { environment: given.argument(0) }, body: { state } }),
    show,
  });
}

export const env: Noun = {
  name: "env",
  summary: "Environments: dev, staging, prod, and their modes",
  commands: [
    list({
      name: "list",
      summary: "Environments that you can see",
      examples: ["sallyport env list"],
      operation: "environment.list",
      ask: () => ({}),
      columns: {
        name: (environment) => environment.name,
        mode: (environment) => environment.mode,
        "local runs": (environment) => environment.localRun,
        state: (environment) => environment.state,
        description: (environment) => environment.description,
      },
      empty: "Nothing here yet: no environment that you can see. Make one: sallyport env create staging",
    }),
    call({
      name: "show",
      summary: "One environment",
      arguments: NAME,
      examples: ["sallyport env show prod"],
      operation: "environment.get",
      ask: (_, given) => ({ params: { environment: given.argument(0) } }),
      show,
    }),
    call({
      name: "create",
      summary: "Create an environment",
      about:
        "open: members are contributors; restricted: members see; private: for those without a grant it does not exist.",
      arguments: NAME,
      options: [{ ...MODE, otherwise: "restricted" }, { ...LOCAL_RUN, otherwise: "off" }, DESCRIPTION],
      examples: ["sallyport env create staging", "sallyport env create agent-7 --mode private"],
      operation: "environment.create",
      ask: (_, given) => ({ body: { name: given.argument(0), ...settingsOf(given) } }),
      show,
    }),
    call({
      name: "update",
      summary: "Change mode, local runs or description",
      arguments: NAME,
      options: [MODE, LOCAL_RUN, DESCRIPTION],
      examples: ["sallyport env update dev --local-run on", "sallyport env update staging --mode private"],
      operation: "environment.update",
      ask: (_, given) => ({ params: { environment: given.argument(0) }, body: settingsOf(given) }),
      show,
    }),
    stateCommand("enable", "active", "Let things be launched, deployed and written there again"),
    stateCommand("disable", "disabled", "Let nothing be launched, deployed or written there"),
    call({
      name: "delete",
      summary: "Delete an environment: disabled at once, its keys destroyed later",
      arguments: NAME,
      options: [YES],
      examples: ["sallyport env delete agent-7"],
      operation: "environment.delete",
      confirm: (given) => `Delete environment ${given.argument(0)} with all its secrets?`,
      ask: (_, given) => ({ params: { environment: given.argument(0) }, query: { confirm: given.argument(0) } }),
      show: (_, out, given) => out.line(`Environment ${given.argument(0)} was deleted.`),
    }),
  ],
};
