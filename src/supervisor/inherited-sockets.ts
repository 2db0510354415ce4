import { fstatSync } from "node:fs";
import { VaultError } from "#base";

type Environment = Record<string, string | undefined>;

const FIRST_FD = 3;
const MOST = 64;
const VARIABLES = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] as const;

/**
 * Descriptors of the listening sockets that were handed to this process (sd_listen_fds(3)); none where LISTEN_PID is
 * another process's. The variables are removed: they are for this process and no child of it.
 *
 * Their names (LISTEN_FDNAMES) mean nothing here: all of them are doors of the same kind.
 *
 * @throws {VaultError} `config_invalid` for a number that is none, or a descriptor that is no socket.
 */
export function inheritedSockets(env: Environment, pid: number): readonly number[] {
  const { LISTEN_PID: meant, LISTEN_FDS: count } = env;
  for (const name of VARIABLES) Reflect.deleteProperty(env, name);
  if (count === undefined || meant !== String(pid)) return [];
  if (!/^\d{1,4}$/.test(count) || Number(count) > MOST) throw fault("the number of sockets is not one");
  const fds = Array.from({ length: Number(count) }, (_, at) => FIRST_FD + at);
  for (const fd of fds) if (!isSocket(fd)) throw fault(`descriptor ${String(fd)} is not a socket`);
  return fds;
}

function isSocket(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket();
  } catch {
    return false;
  }
}

function fault(message: string): VaultError {
  return new VaultError("config_invalid", undefined, { detail: { faults: [{ field: "LISTEN_FDS", message }] } });
}
