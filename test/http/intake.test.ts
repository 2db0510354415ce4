import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { connect } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { Intake } from "../../src/http/intake.ts";
import type { Appetite } from "../../src/http/intake.ts";

const SMALLEST = "GET / HTTP/1.1\r\n\r\n";
const open: { close(): unknown }[] = [];
afterEach(() => {
  for (const one of open.splice(0).reverse()) one.close();
});

/** Node's own server behind an intake: how many requests it parsed, and one client. */
async function serve(appetite: () => Appetite) {
  const seen = { requests: 0, intake: null as Intake | null, end: null as (() => void) | null };
  const server = createServer({ requireHostHeader: false }, (request, response) => {
    seen.requests++;
    seen.intake?.began(request);
    const answer = () => void response.end("x");
    if (seen.requests === 1) seen.end = answer;
    else answer();
  });
  server.on("connection", (socket: Socket) => (seen.intake = new Intake(socket, appetite)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  let heard = "";
  client.on("data", (chunk) => (heard += chunk.toString())).on("error", () => undefined);
  open.push({ close: () => server.close() }, { close: () => server.closeAllConnections() });
  open.push({ close: () => client.destroy() });
  return { seen, client, answers: () => heard.match(/HTTP\/1\.1 200/g)?.length ?? 0 };
}

describe("Of three thousand requests in one write", () => {
  test("Node by itself parses them all before anything else has its turn: which is why there is an intake", async () => {
    const { seen, client } = await serve(() => "read");
    client.write(SMALLEST.repeat(3_000));
    await expect.poll(() => seen.requests, { timeout: 60_000 }).toBeGreaterThan(100);
  });

  test("no more are parsed than one bite begins, until there is an appetite again", async () => {
    let appetite: Appetite = "read";
    const { seen, client, answers } = await serve(() => (seen.requests === 0 ? "read" : appetite));
    appetite = "later";
    client.write(SMALLEST.repeat(3_000));
    await expect.poll(() => seen.requests).toBeGreaterThan(0);
    const first = seen.requests;
    expect(first).toBeLessThanOrEqual(15);
    seen.intake?.more();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(seen.requests).toBe(first);
    appetite = "read";
    seen.end?.();
    seen.intake?.more();
    await expect.poll(answers, { timeout: 60_000 }).toBe(3_000);
  });

  test("what is not wanted is read away and not parsed", async () => {
    const { seen, client } = await serve(() => (seen.requests === 0 ? "read" : "drop"));
    client.write(SMALLEST.repeat(3_000));
    await expect.poll(() => seen.requests).toBeGreaterThan(0);
    const first = seen.requests;
    expect(first).toBeLessThanOrEqual(15);
    // All of it leaves the client: the connection is not stuck.
    await new Promise<void>((resolve) => client.write(SMALLEST.repeat(10_000), () => resolve()));
    expect(seen.requests).toBe(first);
  });
});
