/**
 * Advisory locks of the whole database, each a word of eight letters as a number. Those of orgs are the last eight bytes of
 * their ids; that one of them is the same costs a wait and no more.
 */
export const LOCKS = {
  /** "sp  slot": one node after the other looks for a writer slot. */
  slot: "8318183835500834676",
  /** "sp  move": one copies into or out of the database. */
  move: "8318183835400369765",
  /** "spschema": one migrates. */
  schema: "8318275382543740257",
} as const;
