/** A process that opens a store in the folder it is given and commits until it is killed, printing each acknowledged seq. */
import { openSqlite } from "#storage";
import { World } from "./composition.ts";

const folder = process.argv[2] ?? "";
const { world } = await World.found({ open: (parts) => openSqlite({ folder, ...parts }), remove: async () => {} });
process.stdout.write(`${world.org}\n`);
for (;;) {
  const batch = await Promise.all(Array.from({ length: 8 }, () => world.commit(null)));
  process.stdout.write(batch.map((one) => `${String(one.seq)}\n`).join(""));
}
