import { usage } from "../error.ts";
import { call } from "../operation.ts";

export const password = call({
  name: "password",
  summary: "Change your password; your other sessions end",
  about: "Without a terminal, stdin holds the current password on its first line and the new one on its second.",
  examples: ["sallyport password"],
  operation: "password.change",
  async ask(cli) {
    if (cli.input.isTerminal) {
      const current = await cli.input.hidden("Current password");
      return { body: { current, password: await cli.input.newPassword() } };
    }
    const [current = "", next = ""] = await cli.input.lines();
    if (current === "" || next === "") throw usage("stdin holds two lines: the current password, and the new one.");
    return { body: { current, password: next } };
  },
  show: (_, out) => out.line("Your password was changed; your other sessions have ended."),
});
