/**
 * cli: `sallyport`, the command line.
 *
 * It turns what was typed into operations of the contract over HTTP, and shows what was answered: tables for people, the
 * API's JSON for programs. `sallyport run` starts a child process with the variables of a launch. Each command is a row of
 * its noun's table and is loaded when that noun is typed, so that a launch starts fast.
 *
 * It promises that a credential is sent only over https, to this machine, or where it was told to; that it is never taken
 * from an argument, and never shown but where it is issued; that control characters of others do not reach a terminal; and
 * that every failure has a documented exit code. It decides nothing about access: the vault does.
 */
export { EXIT_CODES, EXIT_MEANINGS, exitCodeOf } from "./exit-codes.ts";
export { runCli } from "./program.ts";
export type { Doors } from "./doors.ts";
