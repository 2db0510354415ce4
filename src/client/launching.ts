/** All that a launch takes: loaded by those who launch. */
export { exchangeToken, exchangeTokenAs, mintToken, revokeUnused } from "./exchange.ts";
export { Launch } from "./launch.ts";
export { endLease, keepLease } from "./lease-keeper.ts";
