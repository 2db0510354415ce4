import { call } from "../operation.ts";
import { SCOPE } from "../options.ts";
import { showBytes } from "../value.ts";

export const revealSecret = call({
  name: "reveal",
  summary: "Show a value, for a stated reason that goes into the audit log",
  about:
    "To a pipe or a file it goes to the byte; a terminal gets a line end after it, and its control characters escaped.",
  arguments: [["<name>", "the secret's name"]],
  options: [
    ...SCOPE,
    { flags: "--reason <text>", meaning: "why you need to see it", required: true },
    { flags: "--version <number>", meaning: "which version", otherwise: "the current one" },
  ],
  examples: ['sallyport secret reveal DB_URL --env prod --reason "incident 4711"'],
  operation: "secret.reveal",
  ask(cli, given) {
    const version = given.number("version");
    return {
      params: { environment: cli.environment(given), namespace: cli.namespace(given), secret: given.argument(0) },
      body: { reason: given.text("reason") ?? "", ...(version === undefined ? {} : { version }) },
    };
  },
  show: (answer, out) => showBytes(Buffer.from(answer.value, answer.encoding), out),
});
