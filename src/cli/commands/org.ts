import type { Response } from "#contract";
import type { Noun } from "../command.ts";
import { issue, setUpLine } from "../issued.ts";
import { call, list } from "../operation.ts";
import { OUTPUT } from "../options.ts";
import type { Output } from "../output.ts";
import { formatTime } from "../text.ts";

const REVEAL = ["admins", "nobody"] as const;
const VIEWER_AUDIT = ["scope", "none"] as const;

function show(org: Response<"org.get">, out: Output): void {
  out.fields({
    name: org.name,
    state: org.state,
    reveal: org.reveal,
    "viewers' audit": org.viewerAudit,
    created: formatTime(org.createdAt),
    id: org.id,
  });
}

export const org: Noun = {
  name: "org",
  summary: "Your org, and the orgs of this instance",
  commands: [
    call({
      name: "show",
      summary: "Your org and its settings",
      examples: ["sallyport org show"],
      operation: "org.get",
      ask: () => ({}),
      show,
    }),
    call({
      name: "update",
      summary: "Change your org's settings",
      about: "`reveal nobody` closes the view of values to all, not their delivery to launches.",
      options: [
        { flags: "--reveal <who>", meaning: "who may see values", choices: REVEAL },
        { flags: "--viewer-audit <what>", meaning: "which events viewers may read", choices: VIEWER_AUDIT },
      ],
      examples: ["sallyport org update --reveal nobody"],
      operation: "org.update",
      ask(_, given) {
        const [reveal, viewerAudit] = [given.choice("reveal", REVEAL), given.choice("viewer-audit", VIEWER_AUDIT)];
        return {
          body: { ...(reveal === undefined ? {} : { reveal }), ...(viewerAudit === undefined ? {} : { viewerAudit }) },
        };
      },
      show,
    }),
    list({
      name: "list",
      summary: "The orgs of this instance",
      examples: ["sallyport org list"],
      operation: "org.list",
      ask: () => ({}),
      columns: { name: (one) => one.name, state: (one) => one.state, created: (one) => formatTime(one.createdAt) },
      empty: "Nothing here yet: no org.",
    }),
    {
      name: "create",
      summary: "Create an org; its owner's set-up credential is shown once",
      arguments: [["<name>", "the org's slug"]],
      options: [{ flags: "--owner <login>", meaning: "who will own it", required: true }, OUTPUT],
      examples: ["sallyport org create acme --owner ada"],
      uses: ["org.create"],
      async run(cli, given) {
        await issue(
          cli,
          given,
          () => cli.call("org.create", { body: { name: given.argument(0), owner: given.text("owner") ?? "" } }),
          (answer) => ({
            credentials: [answer.setUpToken],
            notes: [
              `Org ${answer.org.name} was created. This is ${answer.owner}'s one-time set-up credential; it is shown once and good until ${formatTime(answer.expiresAt)}.`,
              setUpLine(answer.owner, given),
            ],
          }),
        );
      },
    },
  ],
};
