export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** Where the time comes from. Injected; the store raises it to the last committed event, so that it never runs back behind one. */
export interface Clock {
  now(): Date;
  /** Milliseconds since no matter when, on a clock that is never set. Without it, time stands still when `now` is put back. */
  readonly elapsedMs?: () => number;
}

export const systemClock: Clock = { now: () => new Date(), elapsedMs: () => performance.now() };

const UNITS = { ms: 1, s: SECOND, m: MINUTE, h: HOUR, d: DAY } as const;

/** `90s`, `15m`, `1h`, `30d`, `250ms` as milliseconds; `null` for anything else. */
export function parseDuration(text: string): number | null {
  const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text);
  if (match === null) return null;
  const [, count, unit] = match;
  return Number(count) * UNITS[unit as keyof typeof UNITS];
}
