import type { OperationId, Response } from "#contract";
import { GUEST_HINT } from "./cli.ts";
import type { Cli } from "./cli.ts";
import { notOfAVault } from "#client";
import type { Asked, Item, ListId, PagedId } from "#client";
import type { Command } from "./command.ts";
import type { Given } from "./given.ts";
import { LIMIT } from "./options.ts";
import type { Columns, Output } from "./output.ts";

type Row = Omit<Command, "uses" | "run">;

interface CallRow<Op extends OperationId> extends Row {
  readonly operation: Op;
  /** What to ask before it is done, where it cannot be undone. */
  readonly confirm?: (given: Given) => string;
  readonly ask: (cli: Cli, given: Given) => Asked<Op> | Promise<Asked<Op>>;
  /** For people. Programs get the answer as it came. */
  readonly show: (answer: Response<Op>, out: Output, given: Given) => void;
}

/** A command that is one operation. */
export function call<const Op extends OperationId>(row: CallRow<Op>): Command {
  return {
    ...row,
    uses: [row.operation],
    async run(cli, given) {
      const asked = await row.ask(cli, given);
      if (row.confirm !== undefined) await cli.confirm(given, row.confirm(given));
      const answer = await cli.call(row.operation, asked);
      if (!cli.out.json) believe(() => row.show(answer, cli.out, given));
      else if (answer !== undefined) cli.out.value(answer);
    },
  };
}

interface ListRow<Op extends ListId> extends Row {
  readonly operation: Op;
  readonly ask: (cli: Cli, given: Given) => Asked<Op>;
  readonly columns: Columns<Item<Op>>;
  /** What to say where nothing is listed: what it means, and what to do. */
  readonly empty: string;
}

/** A command that lists, page after page; programs get one array. */
export function list<const Op extends PagedId>(row: ListRow<Op> & { readonly limit?: number }): Command {
  return {
    ...row,
    options: [...(row.options ?? []), row.limit === undefined ? LIMIT : { ...LIMIT, otherwise: String(row.limit) }],
    uses: [row.operation],
    async run(cli, given) {
      await showList(cli, given, row, row.limit);
    },
  };
}

/** A command whose list comes whole. */
export function shortList<const Op extends Exclude<ListId, PagedId>>(row: ListRow<Op>): Command {
  return {
    ...row,
    uses: [row.operation],
    async run(cli, given) {
      const { items } = (await cli.call(row.operation, row.ask(cli, given))) as { items: Item<Op>[] };
      if (!Array.isArray(items)) throw notOfAVault("it is no list");
      await showItems(cli, items, row);
    },
  };
}

/** Asks for a list and shows it: for the commands that choose between two lists. */
export async function showList<const Op extends PagedId>(
  cli: Cli,
  given: Given,
  row: Pick<ListRow<Op>, "operation" | "ask" | "columns" | "empty">,
  limit?: number,
): Promise<void> {
  const { items, more } = await cli.client.list(row.operation, row.ask(cli, given), given.number("limit") ?? limit);
  await showItems(cli, items, row);
  if (more) cli.out.note(`These are the first ${String(items.length)}; for more give a greater --limit.`);
}

async function showItems<T>(
  cli: Cli,
  items: readonly T[],
  row: { readonly columns: Columns<T>; readonly empty: string },
): Promise<void> {
  const { out } = cli;
  if (out.json) out.value(items);
  else if (items.length > 0) believe(() => out.table(items, row.columns));
  else {
    out.note(row.empty);
    if (await cli.isGuest()) out.note(GUEST_HINT);
  }
}

/**
 * Shows an answer that was not looked at field by field: loading the contract's schemas would cost each start more than all
 * else. A vault's answer has what is shown; in another's it is missed.
 */
export function believe<T>(show: () => T): T {
  try {
    return show();
  } catch (error) {
    throw error instanceof TypeError ? notOfAVault("its answer has another form") : error;
  }
}
