/**
 * ops: what the person at the machine does.
 *
 * `doctor` looks at everything that a vault needs of its machine, and of its database's server where there is one: files, disk,
 * clocks, memory, descriptors, address, roles, with or without the vault running. A check is a row of a table. It promises to
 * change nothing and to lock nothing: what it opens it reads, a database file that no vault has open in memory.
 *
 * `store.ts` reaches the database of the settings, whichever it is, for what is done without a vault: a look, and a migration.
 *
 * `move` takes a vault that is stopped to another database and makes sure of what arrived, before a vault may start there.
 */
export { inspectStore, migrateStore, storeAddress } from "./store.ts";
export type { Inspection } from "./store.ts";
export { rolesScript, rolesSql } from "#storage";
export type { Roles } from "#storage";
export { checksOf, examine } from "./doctor.ts";
export type { Checked } from "./doctor.ts";
export type { Check, Finding, Result, Scene } from "./check.ts";
export { move } from "./move.ts";
export type { Move, Moved } from "./move.ts";
export type { Chain, MoveProgress, MoveStep } from "./arrival.ts";
export { findStore } from "./store-at.ts";
export type { NamedStore } from "./store-at.ts";
