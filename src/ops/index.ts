/**
 * ops: what the person at the machine does.
 *
 * `doctor` looks at everything that a vault needs of its machine: its files, disk, clock, memory, descriptors and address,
 * with or without the vault running. A check is a row of a table. It promises to change nothing and to lock nothing: what
 * it opens it reads, the database of a vault that does not run in memory.
 */
export { CHECKS, examine } from "./doctor.ts";
export type { Checked } from "./doctor.ts";
export type { Check, Finding, Result, Scene } from "./check.ts";
