import type { Column, Raw } from "../../src/storage/column.ts";
import { snake } from "../../src/storage/table.ts";
import { TABLES } from "../../src/storage/tables.ts";
import type { TableName } from "#storage";

export interface DrawnColumn {
  readonly name: string;
  readonly type: "blob" | "integer" | "text";
  readonly nullable: boolean;
}

/** What a column is on disk, found out by what it encodes and decodes. */
export function draw(name: string, column: Column<never>): DrawnColumn {
  const { encode, decode } = column as unknown as { encode(value: unknown): Raw; decode(raw: Raw): unknown };
  const or = <T>(ask: () => T, otherwise: T): T => {
    try {
      return ask();
    } catch {
      return otherwise;
    }
  };
  const nullable = or(() => encode(null) === null && decode(null) === null, false);
  const read = or(() => decode("[1]"), Buffer);
  const type = read === Buffer ? "blob" : typeof read === "string" || Array.isArray(read) ? "text" : "integer";
  return { name: snake(name), type, nullable };
}

export const NAMES = Object.keys(TABLES) as TableName[];

export function columnsOf(table: TableName): DrawnColumn[] {
  const columns = TABLES[table].columns as unknown as Readonly<Record<string, Column<never>>>;
  return Object.entries(columns).map(([name, column]) => draw(name, column));
}

/** Every table as README.md shows it. */
export function drawTables(): string {
  return NAMES.map((table) => {
    const spec = TABLES[table];
    const key: readonly string[] = spec.key;
    const macs = spec.macs as Readonly<Record<number, readonly string[]>> | null;
    const covered = macs === null ? [] : (macs[Math.max(...Object.keys(macs).map(Number))] ?? []);
    const declared = spec.columns as unknown as Readonly<Record<string, Column<never>>>;
    const columns = Object.entries(declared).map(([name, column]) => {
      const drawn = draw(name, column);
      const marks = [
        drawn.nullable ? "?" : "",
        covered.includes(name) ? "*" : "",
        (spec.unaudited as readonly string[]).includes(name) ? "~" : "",
      ].join("");
      return `${drawn.name} ${drawn.type}${marks}`;
    });
    const head = [
      snake(table),
      `key: ${[...(spec.owner === "org" ? ["org_id"] : []), ...key.map(snake)].join(", ")}`,
      ...(macs === null ? [] : [`MAC ${Object.keys(macs).join(", ")}`]),
    ].join("    ");
    return `${head}\n${wrap(columns)}`;
  }).join("\n");
}

function wrap(parts: readonly string[]): string {
  const lines: string[] = [];
  for (const part of parts) {
    const last = lines.at(-1);
    if (last === undefined || last.length + part.length > 110) lines.push(`    ${part}`);
    else lines[lines.length - 1] = `${last}, ${part}`;
  }
  return lines.join(",\n");
}
