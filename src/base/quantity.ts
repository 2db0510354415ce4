import { DAY, HOUR, MINUTE, SECOND } from "./time.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** Bytes as a person reads them: `0 KiB`, `180 KiB`, `12 MiB`, `3.4 GiB`. What is more than nothing is never `0 KiB`. */
export function formatSize(bytes: number): string {
  // Rounded before the unit is chosen, so that nothing is ever 1024 of a unit.
  const kib = Math.ceil(bytes / KIB);
  if (kib < KIB) return `${String(kib)} KiB`;
  const mib = Math.round(bytes / MIB);
  return mib < KIB ? `${String(mib)} MiB` : `${(bytes / GIB).toFixed(1)} GiB`;
}

/** Milliseconds as a person reads them, to the nearest: `1 second`, `90 seconds`, `25 hours`, `12 days`. The sign is left out. */
export function formatSpan(ms: number): string {
  const span = Math.abs(ms);
  const [unit, length] =
    span < 2 * MINUTE
      ? (["second", SECOND] as const)
      : span < 2 * HOUR
        ? (["minute", MINUTE] as const)
        : span < 2 * DAY
          ? (["hour", HOUR] as const)
          : (["day", DAY] as const);
  const count = Math.round(span / length);
  return `${String(count)} ${unit}${count === 1 ? "" : "s"}`;
}
