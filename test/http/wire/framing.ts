import { CHUNKED, JSON_TYPE, LAST, LINE, WHO, chunk, chunks, get, post } from "./row.ts";
import type { Bytes, Row } from "./row.ts";

/** What a smuggler hides behind a request. Nothing else in these tables asks for it, so the log knows it was never begun. */
const HIDDEN = get("/v1/roles");
const BODY = '{"name":"x y"}';
const TYPED = `${JSON_TYPE}Content-Length: ${BODY.length}${LINE}`;
const unread = (name: string, bytes: Bytes): Row => [name, bytes, 400, "bad_request", "closes"];
/** A body that nobody could read, so that there is nothing to hide in it. */
const te = (value: string, after = `${LAST}${HIDDEN}`) => post(`${JSON_TYPE}Transfer-Encoding:${value}${LINE}`, after);

/**
 * Where a request ends. In most of these a proxy in front and the server behind it could disagree, and a second request is
 * hidden in the difference: one answer is all there may be.
 */
export const FRAMING: readonly Row[] = [
  // CL.TE and TE.CL
  unread(
    "CL.TE: a length, and chunks that end before",
    post(`${JSON_TYPE}Content-Length: ${5 + HIDDEN.length}${LINE}${CHUNKED}`, `${LAST}${HIDDEN}`),
  ),
  unread(
    "TE.CL: chunks, and a length that ends before",
    post(`${JSON_TYPE}${CHUNKED}Content-Length: 4${LINE}`, `${chunk(HIDDEN)}${LAST}`),
  ),
  unread("a length of 0 and chunks", post(`${JSON_TYPE}Content-Length: 0${LINE}${CHUNKED}`, `${LAST}${HIDDEN}`)),
  unread(
    "chunks in HTTP/1.0",
    `POST /v1/namespaces HTTP/1.0${LINE}${WHO}Connection: keep-alive${LINE}${JSON_TYPE}${CHUNKED}${LINE}${LAST}${HIDDEN}`,
  ),
  // TE.TE
  unread("chunks twice", post(`${JSON_TYPE}${CHUNKED}${CHUNKED}`, `${LAST}${HIDDEN}`)),
  unread("chunks, then another coding", post(`${JSON_TYPE}${CHUNKED}Transfer-Encoding: x${LINE}`, `${LAST}${HIDDEN}`)),
  unread("another coding, then chunks", post(`${JSON_TYPE}Transfer-Encoding: x${LINE}${CHUNKED}`, `${LAST}${HIDDEN}`)),
  ...[
    " xchunked",
    " chunkedx",
    " x, chunked",
    " gzip, chunked",
    " chunked, identity",
    " chunked, chunked",
    " identity",
    " gzip",
    ' "chunked"',
    " chunked;q=1",
    " chunked,",
    " ,chunked",
    " \x0bchunked",
    " chunked\x0c",
    "",
    `${LINE} chunked`,
    ` x${LINE} chunked`,
    " chun\tked",
    " [chunked]",
  ].map((value) => unread(`TE.TE: the coding ${JSON.stringify(value)}`, te(value))),
  unread(
    "a coding whose name has a space behind it",
    post(`${JSON_TYPE}Transfer-Encoding : chunked${LINE}`, `${LAST}${HIDDEN}`),
  ),
  unread("a coding after a line that ends without CR", post(`${JSON_TYPE}X: y\n${CHUNKED}`, `${LAST}${HIDDEN}`)),
  unread("an empty coding and a length", post(`${TYPED}Transfer-Encoding:${LINE}`, `${BODY}${HIDDEN}`)),
  [
    "the coding in capitals",
    post(`${JSON_TYPE}Transfer-Encoding: CHUNKED${LINE}`, `${chunk(BODY)}${LAST}`),
    400,
    "invalid_input",
    "stays",
  ],
  // CL.CL and CL.0
  unread("two lengths", post(`${JSON_TYPE}Content-Length: 2${LINE}Content-Length: 3${LINE}`, `{}${HIDDEN}`)),
  unread("the same length twice", post(`${TYPED}Content-Length: ${BODY.length}${LINE}`, `${BODY}${HIDDEN}`)),
  ...[
    "+2",
    "-2",
    "2,2",
    "2, 3",
    "0x2",
    "2e0",
    "2.0",
    "1 2",
    "",
    "two",
    "２",
    "18446744073709551618",
    "2;",
    "2\x0b",
    `${LINE} 2`,
  ].map((length) =>
    unread(
      `the length ${JSON.stringify(length)}`,
      Buffer.from(post(`${JSON_TYPE}Content-Length: ${length}${LINE}`, `{}${HIDDEN}`)),
    ),
  ),
  unread("CL.0: a body where a GET has none", get("/v1/whoami", `Content-Length: ${HIDDEN.length}${LINE}`) + HIDDEN),
  [
    "CL.0: a request as the body of one that takes none",
    post(`${JSON_TYPE}Content-Length: ${HIDDEN.length}${LINE}`, HIDDEN, "/v1/sign-out"),
    400,
    "invalid_input",
    "either",
  ],
  [
    "CL.0: a request as the body of a path that is not there",
    post(`${JSON_TYPE}Content-Length: ${HIDDEN.length}${LINE}`, HIDDEN, "/nowhere"),
    404,
    "not_found",
    "either",
  ],
  [
    "a request as the body of one of another type",
    post(`Content-Type: text/plain${LINE}Content-Length: ${HIDDEN.length}${LINE}`, HIDDEN),
    415,
    "unsupported_media_type",
    "either",
  ],
  unread(
    "a request as the body of one that takes JSON",
    post(`${JSON_TYPE}Content-Length: ${HIDDEN.length}${LINE}`, HIDDEN),
  ),
  [
    "a request as the body of one that is not let in",
    post(`${JSON_TYPE}Content-Length: ${HIDDEN.length}${LINE}`, HIDDEN).replace("%TOKEN%", "sp_ses_x"),
    401,
    "unauthenticated",
    "either",
  ],
  unread("a request behind one that could not be read", `${get("/v1//users")}${HIDDEN}`),
  ["a request behind the last", get("/v1/whoami", `Connection: close${LINE}`) + HIDDEN, 200, null, "closes"],
  [
    "a length with zeros before it",
    post(`${JSON_TYPE}Content-Length: 00${BODY.length}${LINE}`, BODY),
    400,
    "invalid_input",
    "stays",
  ],
  // Chunks
  ...["+2", "-2", "0x2", "2 ", " 2", "２", "g", "", "2\t", "10000000000000002", "fffffffffffffffff", "2,2"].map(
    (size) =>
      unread(
        `a chunk of the size ${JSON.stringify(size)}`,
        Buffer.from(chunks(`${size}${LINE}{}${LINE}${LAST}${HIDDEN}`)),
      ),
  ),
  unread("a chunk whose size line ends without CR", chunks(`2\n{}${LINE}${LAST}${HIDDEN}`)),
  unread("a chunk that ends without CR", chunks(`2${LINE}{}\n${LAST}${HIDDEN}`)),
  unread("a chunk that is longer than its size", chunks(`2${LINE}{} ${LINE}${LAST}${HIDDEN}`)),
  unread("a chunk that does not end", chunks(`2${LINE}{}${LAST}${HIDDEN}`)),
  unread("a chunk whose extension ends without CR", chunks(`2;a\n{}${LINE}${LAST}${HIDDEN}`)),
  unread("an extension of 20 KiB", chunks(`2;${"a".repeat(20 * 1024)}${LINE}{}${LINE}${LAST}`)),
  [
    "an extension",
    chunks(`${BODY.length.toString(16)};a=b${LINE}${BODY}${LINE}${LAST}`),
    400,
    "invalid_input",
    "stays",
  ],
  ["a chunk for each letter", chunks(`${Array.from(BODY, chunk).join("")}${LAST}`), 400, "invalid_input", "stays"],
  ["chunks that are nothing together", chunks(LAST), 400, "invalid_input", "stays"],
  [
    "chunks of more than 1 MiB",
    chunks(`${chunk("x".repeat(70_000)).repeat(16)}${LAST}`),
    413,
    "payload_too_large",
    "either",
  ],
  [
    "a chunk of 256 MiB that has begun",
    chunks(`fffffff${LINE}${"x".repeat(1_100_000)}`),
    413,
    "payload_too_large",
    "closes",
  ],
  unread("a trailer that says a length", chunks(`${chunk("{}")}0${LINE}Content-Length: 5${LINE}${LINE}${HIDDEN}`)),
  [
    "a trailer that says another Host, and who asks",
    chunks(`${chunk(BODY)}0${LINE}Host: other.test${LINE}Authorization: Bearer x${LINE}${LINE}`),
    400,
    "invalid_input",
    "stays",
  ],
  unread("a trailer that says a coding", chunks(`${chunk("{}")}0${LINE}${CHUNKED}${LINE}${HIDDEN}`)),
  [
    "trailers of 20 KiB",
    chunks(`${chunk(BODY)}0${LINE}X: ${"a".repeat(20 * 1024)}${LINE}${LINE}`),
    431,
    "headers_too_large",
    "closes",
  ],
];
