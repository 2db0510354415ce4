/** A command fails as its client does: with the vault's codes, and those of this side. */
export { SallyportError as CliError, isErrorCode, usage } from "#client";
export type { ClientCode as CliCode } from "#client";
