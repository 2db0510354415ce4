import type { Response } from "#contract";
import type { Command, Noun } from "../command.ts";
import type { Given } from "../given.ts";
import { issue, setUpLine } from "../issued.ts";
import type { Issued } from "../issued.ts";
import { call, list } from "../operation.ts";
import { OUTPUT, YES } from "../options.ts";
import type { Output } from "../output.ts";
import { formatTime } from "../text.ts";

const LOGIN = [["<login>", "the user"]] as const;
const ROLES = ["owner", "admin", "member", "guest"] as const;
const ROLE = { flags: "--role <role>", meaning: "the org role", choices: ROLES } as const;

function show(user: Response<"user.get">, out: Output): void {
  out.fields({
    login: user.login,
    role: user.role,
    state: user.state,
    created: formatTime(user.createdAt),
    "last sign-in": formatTime(user.lastSignInAt),
    id: user.id,
  });
}

function invitation(answer: Response<"user.create">, given: Given): Issued {
  const { login } = answer.user;
  return {
    credentials: [answer.setUpToken],
    notes: [
      `This is ${login}'s one-time set-up credential; it is shown once and good until ${formatTime(answer.expiresAt)}.`,
      setUpLine(login, given),
    ],
  };
}

function stateCommand(name: "enable" | "disable", state: "active" | "disabled", summary: string): Command {
  return call({
    name,
    summary,
    arguments: LOGIN,
    examples: [`sallyport user ${name} ada`],
    operation: "user.update",
    ask: (_, given) => ({ params: { user: given.argument(0) }, body: { state } }),
    show,
  });
}

export const user: Noun = {
  name: "user",
  summary: "Users",
  commands: [
    list({
      name: "list",
      summary: "Users of your org",
      examples: ["sallyport user list"],
      operation: "user.list",
      ask: () => ({}),
      columns: {
        login: (one) => one.login,
        role: (one) => one.role,
        state: (one) => one.state,
        created: (one) => formatTime(one.createdAt),
        "last sign-in": (one) => formatTime(one.lastSignInAt),
      },
      empty: "Nothing here yet: no user. Invite one: sallyport user create ada",
    }),
    call({
      name: "show",
      summary: "One user",
      arguments: LOGIN,
      examples: ["sallyport user show ada"],
      operation: "user.get",
      ask: (_, given) => ({ params: { user: given.argument(0) } }),
      show,
    }),
    {
      name: "create",
      summary: "Invite a user; the set-up credential is shown once",
      arguments: LOGIN,
      options: [{ ...ROLE, otherwise: "member" }, OUTPUT],
      examples: ["sallyport user create ada", "sallyport user create olaf --role guest --output olaf.txt"],
      uses: ["user.create"],
      async run(cli, given) {
        const role = given.choice("role", ROLES);
        const body = { login: given.argument(0), ...(role === undefined ? {} : { role }) };
        await issue(
          cli,
          given,
          () => cli.call("user.create", { body }),
          (answer) => invitation(answer, given),
        );
      },
    },
    {
      name: "invite",
      summary: "A new set-up credential, which also resets the password when it is used",
      arguments: LOGIN,
      options: [OUTPUT],
      examples: ["sallyport user invite ada"],
      uses: ["user.invite"],
      async run(cli, given) {
        const params = { user: given.argument(0) };
        await issue(
          cli,
          given,
          () => cli.call("user.invite", { params }),
          (answer) => invitation(answer, given),
        );
      },
    },
    call({
      name: "update",
      summary: "Change a user's org role; sessions end",
      arguments: LOGIN,
      options: [{ ...ROLE, required: true }],
      examples: ["sallyport user update ada --role admin"],
      operation: "user.update",
      ask(_, given) {
        const role = given.choice("role", ROLES);
        return { params: { user: given.argument(0) }, body: role === undefined ? {} : { role } };
      },
      show,
    }),
    stateCommand("enable", "active", "Let a user sign in again"),
    stateCommand("disable", "disabled", "Let a user not sign in; sessions end"),
    call({
      name: "delete",
      summary: "Delete a user; access ends at once",
      arguments: LOGIN,
      options: [YES],
      examples: ["sallyport user delete olaf"],
      operation: "user.delete",
      confirm: (given) => `Delete user ${given.argument(0)}? Access ends at once.`,
      ask: (_, given) => ({ params: { user: given.argument(0) } }),
      show: (_, out, given) => out.line(`User ${given.argument(0)} was deleted.`),
    }),
  ],
};
