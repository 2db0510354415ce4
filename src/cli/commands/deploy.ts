import { parseNumber } from "../given.ts";
import { call } from "../operation.ts";
import { ENVIRONMENT, NAMESPACE } from "../options.ts";

export const deploy = call({
  name: "deploy",
  summary: "Deploy a manifest version to an environment",
  about: "All its references are checked now, and again at each launch. `workload undeploy` is the way back.",
  arguments: [["<workload>", "namespace/workload, or workload"]],
  options: [
    ENVIRONMENT,
    NAMESPACE,
    {
      flags: "--version <number|latest>",
      meaning: "which version; latest follows every save from now on",
      otherwise: "the latest one now",
    },
  ],
  examples: ["sallyport deploy data-pipelines/etl --env prod", "sallyport deploy etl --env dev --version latest"],
  operation: "deployment.set",
  ask(cli, given) {
    const text = given.text("version");
    const version: number | "latest" | undefined =
      text === undefined || text === "latest" ? text : parseNumber(text, "--version");
    return {
      params: { ...cli.workload(given, given.argument(0)), environment: cli.environment(given) },
      body: version === undefined ? {} : { version: version },
    };
  },
  show: (answer, out, given) =>
    out.line(
      `${given.argument(0)} is deployed to ${answer.environment} at version ${String(answer.version)}${answer.follow ? ", and follows the latest" : ""}.`,
    ),
});
