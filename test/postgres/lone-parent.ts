/**
 * A process that starts a server, says so in one line of JSON, and waits to be killed.
 */
import { PostgresServer } from "./server.ts";

const server = await PostgresServer.start();
const client = await server.superuser();
const { rows } = await client.query<{ one: number }>("SELECT 1 AS one");
const said = {
  uid: process.getuid?.(),
  one: rows[0]?.one,
  port: server.port,
  folder: server.folder,
  processes: server.processes(),
};
process.stdout.write(`${JSON.stringify(said)}\n`);
setInterval(() => undefined, 60_000);
