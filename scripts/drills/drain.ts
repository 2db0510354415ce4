import { connect } from "node:net";
import type { Socket } from "node:net";
import { Findings, pause, random } from "./drill.ts";
import type { Drill } from "./drill.ts";
import { Ground } from "./ground.ts";
import { Knocker } from "./knock.ts";

const ROUNDS = { small: 1, full: 10 } as const;
const SLOW = 8;
const LOAD = 8;
const LOAD_MS = 400;
const MUST_END_MS = 10_000;

/** The last that was acknowledged of a secret. */
interface Written {
  readonly version: number;
  readonly value: string;
}

export const drain: Drill = {
  name: "drain",
  what: "rounds of SIGTERM under load: what was being sent is answered and durable, the exit code is 0, the next start works",
  async run(size) {
    const found = new Findings();
    const ground = await Ground.start();
    const acknowledged = new Map<string, Written>();
    try {
      for (let round = 1; round <= ROUNDS[size]; round += 1) {
        const problems = await stopUnderLoad(ground, acknowledged, round);
        await ground.again();
        for (const [secret, { version, value }] of acknowledged) {
          const params = { environment: "prod", namespace: "default", secret };
          const shown = await ground.owner.try("secret.reveal", { params, body: { reason: "drill", version } });
          if (shown.status !== 200 || shown.body.value !== value)
            problems.push(`${secret} is not what was acknowledged`);
        }
        const fault = await ground.auditFault();
        if (fault !== null) problems.push(fault);
        found.tried(problems.length === 0 ? null : `round ${String(round)}: ${problems.slice(0, 5).join("; ")}`);
      }
      return found.report({ "secrets looked at": acknowledged.size, "half-sent requests": SLOW * ROUNDS[size] });
    } finally {
      await ground.close();
    }
  },
};

async function stopUnderLoad(ground: Ground, acknowledged: Map<string, Written>, round: number): Promise<string[]> {
  const problems: string[] = [];
  const knocker = new Knocker(ground.url);
  let running = true;
  const writers = Array.from({ length: LOAD }, async (_, at) => {
    for (let count = 0; running; count += 1) {
      const [secret, value] = [`L${String(at)}`, `${String(round)}-${String(count)}`];
      const path = `/v1/environments/prod/namespaces/default/secrets/${secret}`;
      const answer = await knocker.ask("PUT", path, ground.ownerToken, { value });
      if (answer?.status !== 200) return;
      acknowledged.set(secret, { version: Number(answer.body.version), value });
    }
  });
  const halves = Array.from({ length: SLOW }, (_, at) => new HalfSent(ground, `S${String(round)}_${String(at)}`));
  await Promise.all(halves.map((half) => half.taken));
  await pause(random(LOAD_MS));
  const began = performance.now();
  const ended = ground.stop("SIGTERM");
  await pause(50 + random(150));
  for (const half of halves) {
    const status = await half.finish();
    if (status === 200) acknowledged.set(half.secret, { version: 1, value: half.value });
    else problems.push(`a request in flight was answered ${String(status)}`);
  }
  const { code, signal } = await ended;
  if (code !== 0) problems.push(`the exit code was ${String(code ?? signal)}`);
  if (performance.now() - began > MUST_END_MS) problems.push("it took too long to end");
  running = false;
  await Promise.all(writers);
  knocker.close();
  return problems;
}

/** A write that the server has taken and of whose body it has half. */
class HalfSent {
  readonly secret: string;
  readonly value: string;
  /** The server has asked for the body. */
  readonly taken: Promise<void>;
  readonly #body: string;
  readonly #socket: Socket;
  readonly #closed: Promise<void>;
  #answer = "";

  constructor(ground: Ground, secret: string) {
    this.secret = secret;
    this.value = `slow value of ${secret}`;
    this.#body = JSON.stringify({ value: this.value });
    const { hostname, port } = new URL(ground.url);
    this.#socket = connect(Number(port), hostname);
    this.#socket.setTimeout(MUST_END_MS, () => this.#socket.destroy());
    this.#socket.on("error", () => undefined);
    this.#closed = new Promise((resolve) => {
      this.#socket.once("close", () => {
        resolve();
      });
    });
    this.taken = new Promise((resolve, reject) => {
      this.#socket.on("data", (chunk) => {
        this.#answer += chunk.toString();
        if (this.#answer.startsWith("HTTP/1.1 100")) resolve();
      });
      void this.#closed.then(() => {
        reject(new Error("a connection was closed before the server had taken its request"));
      });
    });
    const head = [
      `PUT /v1/environments/prod/namespaces/default/secrets/${secret} HTTP/1.1`,
      "Host: vault",
      `Authorization: Bearer ${ground.ownerToken}`,
      "Content-Type: application/json",
      `Content-Length: ${String(Buffer.byteLength(this.#body))}`,
      "Expect: 100-continue",
      "Connection: close",
    ];
    this.#socket.write(`${head.join("\r\n")}\r\n\r\n`);
    void this.taken.then(() => this.#socket.write(this.#body.slice(0, 5)));
  }

  /** The status that came, 0 for none. */
  async finish(): Promise<number> {
    this.#socket.write(this.#body.slice(5));
    await this.#closed;
    const statuses = [...this.#answer.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status));
    return statuses.find((status) => status !== 100) ?? 0;
  }
}
