/**
 * client: a vault from a program, `import { Sallyport } from "sallyport/client"`.
 *
 * `Sallyport.launch()` gets a program its variables and holds its lease; `Sallyport.connect()` calls every operation of the
 * contract, typed. It needs Node and no package. It promises that a credential is sent only over https, to this machine, or
 * where it was told to; that nothing is asked twice unless twice is as good as once; that an answer is bounded in size and
 * time; and that no error, log or inspection of it shows a value or a token.
 *
 * It decides nothing about access, keeps no value on disk and changes no process but by `apply`. What stands below the line
 * is the command line's share: programs can rely on what stands above.
 */
export { Sallyport } from "./sallyport.ts";
export type { ConnectOptions, LaunchOptions } from "./sallyport.ts";
export type { Launch } from "./launch.ts";
export { Client } from "./client.ts";
export type { Asked, AskedOfAll, FindCredential, Item, ListId, PagedId, Received } from "./client.ts";
export { SallyportError } from "./error.ts";
export type { ClientCode, FailureOptions } from "./error.ts";
export type { OperationId, RequestHeaders, Response } from "#contract";

// ---- for the command line
/** Loaded when something is launched: most commands are started, and end, without. */
export async function loadLaunching() {
  return import("./launching.ts");
}
export { asCredential, fromEnvironment, kindInEnvironment, readToken } from "./credential.ts";
export type { Credential, TokenSource } from "./credential.ts";
export { isErrorCode, notOfAVault, usage } from "./error.ts";
export type { Delivery, Minted, Target, TextForm } from "./exchange.ts";
export { codeOf, readDescriptor, readFile, readPrivateFile } from "./file.ts";
export type { Environment } from "./file.ts";
export type { Lease, LeaseKeeper } from "./lease-keeper.ts";
export { DEFAULT_ADDRESS, describePlace, findSocket, parseAddress } from "./place.ts";
export type { Place } from "./place.ts";
export { holdsToken, splitToken, tokenKind } from "./token.ts";
export type { TokenKind } from "./token.ts";
export { connect } from "./transport.ts";
export type { Answer, Ask, Transport, TransportOptions } from "./transport.ts";
