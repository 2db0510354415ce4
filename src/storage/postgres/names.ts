const MOST = 1_000;
/** A list of thousands makes a text that is not asked again, and not worth the server's memory. */
const LONGEST_TEXT = 16_384;

const names = new Map<string, string>();

/**
 * The name under which a statement is prepared on each connection, so that the server parses and plans a text once;
 * `undefined` for texts that are too long, or too many, to be kept.
 */
export function statementName(sql: string): string | undefined {
  const known = names.get(sql);
  if (known !== undefined) return known;
  if (sql.length > LONGEST_TEXT || names.size >= MOST) return undefined;
  const name = `sp${String(names.size)}`;
  names.set(sql, name);
  return name;
}
