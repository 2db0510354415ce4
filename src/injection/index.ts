/**
 * injection: a launch, from the token to the end of its lease.
 *
 * A token is minted for one workload in one environment and exchanged at most once, under any concurrency and after any
 * crash; no value leaves before its event is durable; everything is decided anew at the exchange. What a launch received is
 * written down by name and version, never by value.
 */
export { Exchange } from "./exchange.ts";
export type { ExchangeRequest, Exchanged, Looked } from "./exchange.ts";
export { encodeText, encodeValue } from "./formats/encode.ts";
export type { TextFormat } from "./formats/encode.ts";
export { Injections } from "./injections.ts";
export type { InjectionFilter, InjectionView, LeaseView } from "./injections.ts";
export { LastUses } from "./last-uses.ts";
export { Leases } from "./leases.ts";
export { Mint } from "./mint.ts";
export type { MintRequest, Minted } from "./mint.ts";
