import { MINUTE } from "#base";
import type { TamperAlarm } from "#storage";
import type { Guard } from "./guard.ts";

const MOST_REMEMBERED = 1_000;

/**
 * A row that does not prove itself is refused where it was read; this makes sure that somebody hears of it: one event a
 * minute for each such row, in the chain of its org.
 */
export function tamperAlarm(
  guard: Guard,
  tell: { readonly row: (table: string, row: string) => void; readonly fault: (error: unknown) => void },
): TamperAlarm {
  const rung = new Map<string, number>();
  return (org, table, row) => {
    const key = `${org}/${table}/${row}`;
    const now = guard.now().getTime();
    if (now - (rung.get(key) ?? 0) < MINUTE) return;
    if (rung.size >= MOST_REMEMBERED) rung.clear();
    rung.set(key, now);
    tell.row(table, row);
    const permit = guard.system("integrity.failed", org, org);
    guard.settle(permit, { result: "failed", code: "integrity_failed", facts: { table, row } }).catch(tell.fault);
  };
}
