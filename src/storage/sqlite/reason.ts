/** SQLite's code of an error, or the empty string. */
export function codeOf(error: unknown): string {
  return typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
}

/** By the beginning of SQLite's code, the longest first (sqlite.org/rescode.html). */
const WORDS = [
  ["SQLITE_FULL", "the disk is full"],
  ["SQLITE_READONLY", "the database file or its file system is read-only"],
  ["SQLITE_IOERR_FSYNC", "the disk did not confirm what was written"],
  ["SQLITE_IOERR_DIR_FSYNC", "the disk did not confirm what was written"],
  ["SQLITE_IOERR_NOMEM", "there is no memory left"],
  ["SQLITE_IOERR", "the disk answered with an error"],
  ["SQLITE_CANTOPEN", "the database file cannot be opened, for want of rights, of descriptors or of the file"],
  ["SQLITE_PERM", "the database file may not be opened"],
  ["SQLITE_BUSY", "another process holds the database"],
  ["SQLITE_LOCKED", "another process holds the database"],
  ["SQLITE_NOMEM", "there is no memory left"],
  ["SQLITE_CORRUPT", "the database file is damaged"],
  ["SQLITE_NOTADB", "the database file is damaged"],
] as const;

/** What failed, in words that anybody may read, with SQLite's own code: nothing of a statement, a value or a path. */
export function reasonOf(error: unknown): string {
  const code = codeOf(error);
  const [, words] = WORDS.find(([beginning]) => code.startsWith(beginning)) ?? [null, "a write failed"];
  return code.startsWith("SQLITE_") ? `${words} (${code})` : words;
}
