import type { Page } from "#storage";

/** Times go out in ISO 8601, UTC. */
export function isoOf(time: Date): string;
export function isoOf(time: Date | null): string | null;
export function isoOf(time: Date | null): string | null {
  return time === null ? null : time.toISOString();
}

export function pageOf<T, U>(page: Page<T>, shape: (item: T) => U): { items: U[]; next: string | null } {
  return { items: page.items.map(shape), next: page.next };
}
