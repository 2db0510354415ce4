/**
 * http: the vault's door on the network.
 *
 * Every operation of the catalog goes through one wrapper: limit, authenticate, parse, call, encode. It promises that no
 * answer leaves before its audit event is durable, that no input is repeated in an error or a log line, and that an
 * operation guarded with another permission than the catalog's fails. It knows no rule of the product.
 */
export { createApp } from "./app.ts";
export type { HttpApp } from "./app.ts";
export { openHandlers } from "./health.ts";
export type { OfferedMetrics, Readiness } from "./health.ts";
export type { LimitSettings } from "./limits.ts";
export type { Rate } from "./meter.ts";
export { LOG_LINES } from "./log.ts";
export type { LogLine, Logger } from "./log.ts";
export { METRIC_OPERATIONS, Metrics } from "./metrics.ts";
export type { EndedRequest, MetricRow, RequestWatch, TurnedAway, VaultSample } from "./metrics.ts";
export type { Answer, Caller, Handler, Handlers, HttpDoors, RefusalReason, Request } from "./operation.ts";
export { STATUS } from "./problem.ts";
export type { Problem } from "./problem.ts";
export { Reply } from "./reply.ts";
export type { ReplyOptions } from "./reply.ts";
export { routes } from "./routes/index.ts";
export type { Rooms } from "./routes/rooms.ts";
export { listen } from "./server.ts";
export type { Drain } from "./door.ts";
export type { HttpServers, ListenOptions } from "./server.ts";
export { Tls } from "./tls.ts";
