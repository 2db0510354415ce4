/** Stands for a good credential; the test puts a real one in its place. */
export const TOKEN = "%TOKEN%";
/** Stands where a secret could stand. No answer and no log line may repeat it. */
export const CANARY = "canary.7f3a-VALUE";

/** Bytes for the wire: text as Latin-1, one byte a character. */
export type Bytes = string | Buffer;

/**
 * What is sent, and what must come of it: exactly one answer with one of these statuses and this code (`null`: it is no
 * problem), or none at all where the status is 0; and what becomes of the connection.
 */
export type Row = readonly [
  name: string,
  bytes: Bytes,
  status: number,
  code: string | null,
  then: "closes" | "stays" | "either",
];

export const LINE = "\r\n";
export const WHO = `Host: vault.test${LINE}Authorization: Bearer ${TOKEN}${LINE}`;
export const JSON_TYPE = `Content-Type: application/json${LINE}`;
export const CHUNKED = `Transfer-Encoding: chunked${LINE}`;

/** A GET that is good but for what is put into it. */
export function get(target: string, headers = ""): string {
  return `GET ${target} HTTP/1.1${LINE}${WHO}${headers}${LINE}`;
}

/** A POST whose head is good but for what is put into it, and whose body is what stands there. */
export function post(head: string, body = "", target = "/v1/namespaces"): string {
  return `POST ${target} HTTP/1.1${LINE}${WHO}${head}${LINE}${body}`;
}

/** A POST of this body as JSON, well framed. */
export function json(body: Bytes, type = JSON_TYPE): Buffer {
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  return Buffer.concat([Buffer.from(post(`${type}Content-Length: ${bytes.length}${LINE}`), "latin1"), bytes]);
}

/** A POST in chunks as they stand there. */
export function chunks(wire: string, head = ""): string {
  return post(`${JSON_TYPE}${CHUNKED}${head}`, wire);
}

/** One chunk, well made. */
export function chunk(text: string): string {
  return `${text.length.toString(16)}${LINE}${text}${LINE}`;
}

export const LAST = `0${LINE}${LINE}`;
