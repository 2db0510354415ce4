import { connect } from "node:net";
import { CATALOG } from "#contract";
import type { OperationId } from "#contract";
import { send } from "../../test/harness.ts";
import type { Canary } from "./canary-forms.ts";
import type { Heard } from "./canary-places.ts";
import type { Size } from "./drill.ts";

/** Fields of bodies in which a value may stand by mistake, and which take no free text. */
const FIELDS = [
  ...["value", "password", "current", "encoding", "login", "org", "role", "kind", "state", "mode", "principal", "name"],
  ...[
    "environment",
    "namespace",
    "workload",
    "namespaces",
    "workloads",
    "roles",
    "reveal",
    "access",
    "version",
    "versions",
  ],
  ...[
    "cidrs",
    "ttlSeconds",
    "count",
    "expiresAt",
    "startsAt",
    "endsAt",
    "rotateBy",
    "tags",
    "exitCode",
    "allowedVariables",
  ],
  ...["variables", "all", "localRun", "viewerAudit"],
] as const;
const QUERIES = [
  "after",
  "limit",
  "prefix",
  "state",
  "confirm",
  "format",
  "action",
  "actor",
  "target",
  "result",
  "principal",
];
const HEADERS = [
  ...["If-Match", "If-None-Match", "Idempotency-Key", "Sallyport-Runner", "Accept", "Content-Type", "Content-Encoding"],
  ...["X-Request-Id", "X-Forwarded-For", "User-Agent", "Cookie", "Expect", "Range", "Transfer-Encoding"],
];
const ABSENT: Readonly<Record<string, string>> = { secret: "ABSENT", version: "1" };
const AT_ONCE = 16;

interface Attempt {
  readonly what: string;
  readonly path: string;
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body?: string;
}

/**
 * Sends a secret wherever it does not belong: in each part of each operation's request, as its owner and as nobody. Answers
 * that are errors are heard. Returns how many were sent.
 */
export async function abuse(url: string, session: string, canary: Canary, heard: Heard, size: Size): Promise<number> {
  const attempts = (Object.keys(CATALOG) as OperationId[]).flatMap((id, at) => {
    const all = attemptsOn(id, canary.text, session);
    // In a small run every operation gets some of each kind, and all kinds are met over all operations.
    return size === "full" ? all : all.filter((_, number) => (number + at) % 9 === 0);
  });
  attempts.push(...strayAttempts(canary.text, session));
  let next = 0;
  const one = async (): Promise<void> => {
    for (let attempt = attempts[next++]; attempt !== undefined; attempt = attempts[next++]) {
      const { what, ...options } = attempt;
      const answer = await send(url, options).catch(() => null);
      if (answer !== null) heard.add(`the answer to ${what}`, answer.text + JSON.stringify(answer.headers));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  const raw = rawRequests(canary.text);
  for (const [what, bytes] of raw) heard.add(`the answer to ${what}`, await sendRaw(url, bytes));
  return attempts.length + raw.length;
}

function attemptsOn(id: OperationId, secret: string, session: string): Attempt[] {
  const { method, path } = CATALOG[id];
  const takesBody = method === "POST" || method === "PUT" || method === "PATCH";
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? "");
  const filled = (wrong: string | null): string =>
    path.replace(/\{(\w+)\}/g, (_, name: string) =>
      name === wrong ? encodeURIComponent(secret) : (ABSENT[name] ?? "absent"),
    );
  // A session that is ended by the attempt would spoil those after it.
  const good = id === "session.end" || id === "session.revoke" ? {} : { authorization: `Bearer ${session}` };
  const attempt = (what: string, more: Partial<Attempt>): Attempt => ({
    what: `${id}, ${what}`,
    method,
    path: filled(null),
    headers: good,
    ...(takesBody ? { body: "{}" } : {}),
    ...more,
  });
  const inBody = (what: string, body: string, headers: Record<string, string> = {}): Attempt =>
    attempt(what, { body, headers: { ...good, ...headers } });
  const json = (what: string, body: unknown): Attempt => inBody(what, JSON.stringify(body));
  const header = (name: string): Attempt =>
    attempt(`in the header ${name}`, { headers: { ...good, [name]: headerText(secret) } });
  return [
    ...names.map((name) => attempt(`as ${name} in the path`, { path: filled(name) })),
    ...[...QUERIES, encodeURIComponent(secret)].map((name) =>
      attempt("in the query", { path: `${filled(null)}?${name}=${encodeURIComponent(secret)}` }),
    ),
    ...HEADERS.map(header),
    ...["Bearer", "Basic", ""].map((scheme) =>
      attempt("as its credential", { headers: { authorization: `${scheme} ${headerText(secret)}`.trim() } }),
    ),
    ...(takesBody
      ? [
          inBody("in a body that is no JSON", secret),
          inBody("in a body cut short", `{"value": ${JSON.stringify(secret)}`),
          inBody("in a body with a duplicate key", `{"value": ${JSON.stringify(secret)}, "value": 1}`),
          inBody("in a body of another type", secret, { "content-type": "text/plain" }),
          inBody("in a body said to be compressed", secret, { "content-encoding": "gzip" }),
          inBody("in a form", `value=${encodeURIComponent(secret)}`, {
            "content-type": "application/x-www-form-urlencoded",
          }),
          inBody("in a body that is too large", JSON.stringify({ value: secret.repeat(14_000) })),
          json("in a value that is too large", { value: secret.repeat(900) }),
          json("as the body", secret),
          json("in a list", [secret]),
          json("as an unknown field", { [secret]: secret }),
          json("as a reference", { variables: { A: { secret } } }),
          json("in a template", { variables: { A: { template: `\${${secret}` } } }),
          json("as a variable's name", { variables: { [secret]: { value: "x" } } }),
          json("in an unknown field of a variable", { variables: { A: { value: "x", [secret]: secret } } }),
          ...FIELDS.map((field) => json(`as ${field}`, { [field]: secret })),
          ...FIELDS.map((field) => json(`in ${field}`, { [field]: { [secret]: [secret] } })),
        ]
      : []),
  ];
}

function strayAttempts(secret: string, session: string): Attempt[] {
  const headers = { authorization: `Bearer ${session}` };
  const word = encodeURIComponent(secret);
  const signIn = (body: object): Attempt => ({
    what: "a sign-in with the secret in the wrong field",
    method: "POST",
    path: "/v1/sign-in",
    headers: {},
    body: JSON.stringify(body),
  });
  return [
    ...["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].flatMap((method) => [
      { what: `${method} of an unknown route`, method, path: `/v1/${word}`, headers },
      { what: `${method} of no route`, method, path: `/${word}/../${word}?${word}`, headers },
    ]),
    { what: "a path that is too long", method: "GET", path: `/v1/${word.repeat(60)}`, headers },
    signIn({ login: secret, password: "wrong" }),
    signIn({ org: "main", login: "owner", password: secret }),
    signIn({ org: "main", login: secret, password: secret }),
    signIn({ login: "owner", password: "wrong", otp: secret }),
  ];
}

/** What Node's client would not send. */
function rawRequests(secret: string): [string, string][] {
  const body = JSON.stringify({ value: secret });
  return [
    ["bytes that are no request", `${secret}\r\n\r\n`],
    ["an unknown method", `${secret.slice(0, 20).toUpperCase()} / HTTP/1.1\r\nHost: x\r\n\r\n`],
    ["an unknown protocol", `GET /${secret.slice(0, 30)} ${secret}\r\nHost: x\r\n\r\n`],
    ["a header without a colon", `GET /v1/whoami HTTP/1.1\r\nHost: x\r\n${secret}\r\n\r\n`],
    ["headers that are too large", `GET /v1/whoami HTTP/1.1\r\nHost: x\r\nX-A: ${secret.repeat(200)}\r\n\r\n`],
    ["the secret as host", `GET /v1/whoami HTTP/1.1\r\nHost: ${secret}\r\nConnection: close\r\n\r\n`],
    ["two lengths", `POST /v1/sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 9\r\n\r\n${body}`],
    [
      "a chunk that is none",
      `POST /v1/sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${secret}\r\n`,
    ],
    ["TRACE", `TRACE /v1/whoami HTTP/1.1\r\nHost: x\r\nX-Secret: ${headerText(secret)}\r\nConnection: close\r\n\r\n`],
    [
      "a body that stops",
      `POST /v1/sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n${body}`,
    ],
  ];
}

function sendRaw(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect(Number(port), hostname, () => {
      socket.write(text);
      // Half of these wait for more, and would for a while.
      setTimeout(() => socket.end(), 100);
      setTimeout(() => socket.destroy(), 400);
    });
    socket.on("data", (chunk) => (answer += chunk.toString()));
    socket.on("error", () => undefined);
    socket.on("close", () => {
      resolve(answer);
    });
  });
}

/** A header takes Latin-1 only, without control characters. */
function headerText(secret: string): string {
  return secret.replace(/[^\x20-\x7e]/g, "");
}
