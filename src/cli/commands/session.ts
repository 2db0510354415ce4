import type { Noun } from "../command.ts";
import { call, shortList } from "../operation.ts";
import { formatTime } from "../text.ts";

export const session: Noun = {
  name: "session",
  summary: "Your sessions",
  commands: [
    shortList({
      name: "list",
      summary: "Where you are signed in",
      examples: ["sallyport session list"],
      operation: "session.list",
      ask: () => ({}),
      columns: {
        id: (one) => one.id,
        "this one": (one) => one.current,
        created: (one) => formatTime(one.createdAt),
        "last seen": (one) => formatTime(one.lastSeenAt),
        ends: (one) => formatTime(one.expiresAt),
        from: (one) => one.address,
      },
      empty: "You have no session.",
    }),
    call({
      name: "end",
      summary: "End one of your sessions",
      about: "This one is ended by `logout`.",
      arguments: [["<id>", "the session's id, from `session list`"]],
      examples: ["sallyport session end ses_01jz8m5q3vf0bt6y7w2x9k4e1h"],
      operation: "session.revoke",
      ask: (_, given) => ({ params: { id: given.argument(0) } }),
      show: (_, out) => out.line("The session was ended."),
    }),
  ],
};
