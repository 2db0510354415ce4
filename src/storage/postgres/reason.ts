/** PostgreSQL's SQLSTATE of an error, the system's code, or the empty string. */
export function codeOf(error: unknown): string {
  return typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
}

const SQLSTATE = /^[0-9A-Z]{5}$/;

/** Whether the server itself has answered with an error, so that it is known what was done. */
export function isAnswer(error: unknown): boolean {
  return SQLSTATE.test(codeOf(error));
}

/**
 * Whether the connection, or the server behind it, is of no use any more: no answer came, the server is stopping or starting,
 * or it has become a standby (PostgreSQL, appendix A: classes 08 and 57P, and 25006).
 */
export function isLost(error: unknown): boolean {
  const code = codeOf(error);
  return !SQLSTATE.test(code) || /^(08|57P)/.test(code) || code === "25006";
}

/** Serialization failures and deadlocks: nothing was done, and the same may go through now. */
export function isRace(error: unknown): boolean {
  return ["40001", "40P01"].includes(codeOf(error));
}

/** By the beginning of the code, the longest first. */
const WORDS = [
  ["08", "the connection to the database broke"],
  ["25006", "the database server takes no writes: it is a standby"],
  ["28P01", "the database server refuses the role or its password"],
  ["28", "the database server does not let this role in: from here, without TLS, or without a certificate"],
  ["3D000", "there is no such database on the server"],
  ["40", "others changed the same rows"],
  ["42501", "the role may not do this in the database"],
  ["42P01", "a table is missing in the database"],
  ["53100", "the database server's disk is full"],
  ["53200", "the database server has no memory left"],
  ["53300", "the database server takes no more connections"],
  ["53", "the database server has too little of something"],
  ["55P03", "others held the same rows for too long"],
  ["57014", "the database server took too long"],
  ["57P03", "the database server is starting or stopping"],
  ["57P", "the database server is stopping"],
  ["58", "the database server's disk answered with an error"],
  ["XX", "the database is damaged"],
  ["ECONNREFUSED", "nothing answers at the database's address"],
  ["ECONNRESET", "the connection to the database broke"],
  ["EPIPE", "the connection to the database broke"],
  ["ETIMEDOUT", "the database server does not answer"],
  ["EHOSTUNREACH", "the database server cannot be reached"],
  ["ENETUNREACH", "the database server cannot be reached"],
  ["ENOTFOUND", "the name of the database server is not known"],
  ["EAI_AGAIN", "the name of the database server cannot be looked up"],
  ["NO_PASSWORD", "the database server asks for a password, and its address has none and storePasswordFile names none"],
  ["CERT_HAS_EXPIRED", "the certificate of the database server has expired"],
  ["CERT_", "the certificate of the database server is not valid"],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", "the certificate of the database server is signed by nobody who is trusted"],
  ["SELF_SIGNED_CERT_IN_CHAIN", "the certificate of the database server is signed by nobody who is trusted"],
  ["UNABLE_TO_", "the certificate of the database server is signed by nobody who is trusted"],
  ["ERR_TLS_CERT_ALTNAME_INVALID", "the certificate of the database server is another name's"],
  ["ERR_SSL", "the database server and the vault do not agree on TLS"],
  ["EPROTO", "the database server and the vault do not agree on TLS"],
] as const;

/** What the driver says without a code, by a part of its words. */
const SAID = [
  ["does not support SSL", "the database server does not speak TLS"],
  ["establishing an SSL connection", "the database server does not answer as one that speaks TLS"],
] as const;

/** What failed, in words that anybody may read, with the code: nothing of a statement, a value or an address. */
export function reasonOf(error: unknown): string {
  const code = codeOf(error);
  const [, words] = WORDS.find(([beginning]) => code.startsWith(beginning)) ?? [null, "the database does not answer"];
  if (code !== "") return `${words} (${code})`;
  const message = error instanceof Error ? error.message : "";
  return SAID.find(([part]) => message.includes(part))?.[1] ?? words;
}
