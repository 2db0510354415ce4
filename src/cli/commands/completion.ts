import type { Command } from "../command.ts";
import { SCRIPTS, SHELLS } from "../completion/scripts.ts";
import { usage } from "../error.ts";

export const completion: Command = {
  name: "completion",
  summary: "Print what makes a shell complete commands, options and names",
  about:
    "Names of environments, namespaces, secrets, workloads, users and the rest come from the vault, as whoever is signed in may " +
    "list them; each look-up stands in the audit log like any other. Nothing that a vault answers is evaluated by the shell.",
  arguments: [["<shell>", "bash, zsh or fish"]],
  examples: [
    "sallyport completion bash",
    "sallyport completion bash > ~/.local/share/bash-completion/completions/sallyport",
    "sallyport completion zsh > ~/.zfunc/_sallyport",
    "sallyport completion fish > ~/.config/fish/completions/sallyport.fish",
  ],
  uses: [],
  async run(cli, given) {
    const shell = SHELLS.find((one) => one === given.argument(0));
    if (shell === undefined) throw usage(`There is no script for “${given.argument(0)}”: ${SHELLS.join(", ")}.`);
    cli.out.bytes(Buffer.from(SCRIPTS[shell]));
  },
};
