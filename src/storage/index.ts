/**
 * storage: rows, durably.
 *
 * One asynchronous store over an engine. It promises: nothing is read or written without a permit, or by the few rooms
 * that decide on permits; the org of every row comes from the permit; an acknowledged commit survives the loss of power,
 * and its audit event is in the same commit; a row that grants power proves itself before anybody sees it; a change whose
 * expectation is missed is undone alone. It knows no rule of the product and no key.
 */
export { Change } from "./change.ts";
export { MissedExpectation } from "./engine.ts";
export type {
  AuditRow,
  ChainHead,
  CommitMeasure,
  CommitWatch,
  Committed,
  ConnectionUse,
  Engine,
  EngineHealth,
  NodeSeen,
  Scribe,
} from "./engine.ts";
export { above, allOf, below, between, containing, noneOf, oneOf, startingWith } from "./query.ts";
export type { Query, Reader, ScopeSet, Where } from "./query.ts";
export { listPage } from "./page.ts";
export type { Page, PageRequest } from "./page.ts";
export { Pruning } from "./pruning.ts";
export type { RowDigest, RowIntegrity, TamperAlarm } from "./proof.ts";
export { openStore } from "./store.ts";
export type { Entry, Facts, Settlement, Store } from "./store.ts";
export { openPostgres } from "./postgres/engine.ts";
export { describeAddress, readAddress } from "./postgres/address.ts";
export type { PostgresAddress } from "./postgres/address.ts";
export { migrateDatabase } from "./postgres/prepare.ts";
export { rolesScript, rolesSql } from "./postgres/roles.ts";
export type { Roles } from "./postgres/roles.ts";
export { openSqlite } from "./sqlite/engine.ts";
export { holdFolder } from "./sqlite/open.ts";
export { driverVersion, inspectDatabase } from "./sqlite/inspect.ts";
export type { FileInspection } from "./sqlite/inspect.ts";
export { inspectServer } from "./postgres/inspect.ts";
export type { ServerInspection } from "./postgres/inspect.ts";
export { Transfer } from "./transfer/transfer.ts";
export type { Progress, TableCopy } from "./transfer/transfer.ts";
export { COPY_MARK } from "./transfer/place.ts";
export type { StoreAt } from "./transfer/place.ts";
export { PROVED_TABLES, provedRows } from "./proved-rows.ts";
export type { ProvedRow } from "./proved-rows.ts";
export type { Bindings, NewRow, Row, SecretPolicy, TableName, Variable } from "./tables.ts";
