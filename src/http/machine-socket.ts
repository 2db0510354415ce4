import { VaultError } from "#base";
import { lstat, unlink } from "node:fs/promises";
import type { Server } from "node:net";
import { connect } from "node:net";

/** What the address of a Unix socket holds on every platform, in bytes. */
const MAX_SOCKET_PATH = 103;

/**
 * Makes room for the machine's own socket, and says how to bind it.
 *
 * The socket is born with mode 0600: with a chmod after the bind instead of a mask there would be a moment in which anybody could connect.
 * Node binds a path before `listen` returns, so the mask is changed for no other file of this thread.
 * A socket file that nothing answers on was left by a process that died, and is removed.
 *
 * @throws {VaultError} `address_in_use`; `config_invalid` for a path that no socket fits.
 */
export async function bindMachineSocket(path: string): Promise<(server: Server) => void> {
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
    const message = "the folder's path is too long for a socket in it";
    throw new VaultError("config_invalid", undefined, { detail: { faults: [{ field: "data", message }] } });
  }
  await removeStale(path);
  return (server) => {
    const mask = process.umask(0o177);
    try {
      server.listen({ path });
    } finally {
      process.umask(mask);
    }
  };
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => null);
  if (found === null) return;
  if (!found.isSocket())
    throw new VaultError("address_in_use", `${path} is no socket: another file stands where it should be`);
  const answers = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
  if (answers) throw new VaultError("address_in_use", `${path} is taken by another process`);
  await unlink(path);
}
