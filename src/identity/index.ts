/**
 * identity: who is knocking.
 *
 * Users with passwords, service users with tokens, sessions, one-time set-up credentials, and orgs with their first owner.
 * It turns a credential into an actor and promises that every failure to do so looks the same from outside. What an actor
 * may do is access/'s to say.
 */
export { addressAllowed, blockList } from "./address.ts";
export { Authenticator } from "./authenticate.ts";
export type { Reach } from "./authenticate.ts";
export { Orgs } from "./orgs.ts";
export type { FoundedOrg } from "./orgs.ts";
export { ServiceUsers } from "./service-users.ts";
export type { IssuedToken, TokenSettings } from "./service-users.ts";
export { Sessions } from "./sessions.ts";
export type { SessionView, SignedIn } from "./sessions.ts";
export { SignIn } from "./sign-in.ts";
export { Users } from "./users.ts";
export type { Invitation } from "./users.ts";
export { whoAmI } from "./whoami.ts";
export type { WhoAmI } from "./whoami.ts";
