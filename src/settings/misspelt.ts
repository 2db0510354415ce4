/** The one of these words that was most likely meant, or `null`: the same letters, or few typing errors away. */
export function meantBy(word: string, words: readonly string[]): string | null {
  const bare = (text: string) => text.replace(/[-_.]/g, "").toLowerCase();
  const same = words.find((one) => bare(one) === bare(word));
  if (same !== undefined) return same;
  const [nearest] = words
    .map((one) => ({ one, errors: typingErrors(bare(word), bare(one)) }))
    .sort((a, b) => a.errors - b.errors);
  return nearest !== undefined && nearest.errors <= Math.max(1, Math.floor(bare(nearest.one).length / 4))
    ? nearest.one
    : null;
}

/** How many letters have to be put in, taken out or changed (Levenshtein). */
function typingErrors(from: string, to: string): number {
  let before = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (const [row, letter] of [...from.slice(0, 100)].entries()) {
    const now = [row + 1];
    for (let at = 1; at <= to.length; at += 1) {
      const changed = (before[at - 1] ?? 0) + (letter === to[at - 1] ? 0 : 1);
      now.push(Math.min(changed, (before[at] ?? 0) + 1, (now[at - 1] ?? 0) + 1));
    }
    before = now;
  }
  return before[to.length] ?? 0;
}
