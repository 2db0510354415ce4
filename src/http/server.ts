import { VaultError, isLoopback } from "#base";
import { isIP } from "node:net";
import { Door } from "./door.ts";
import type { DoorOptions, Drain } from "./door.ts";
import { bindMachineSocket } from "./machine-socket.ts";

export interface ListenOptions extends DoorOptions {
  /** An address, or `localhost`. */
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Descriptors of sockets that listen already, in place of `host` and `port`: a service manager's. */
  readonly sockets?: readonly number[];
  /** Where the machine's own socket is made, mode 0600. */
  readonly socketPath?: string;
  /** Plain HTTP beyond loopback: behind a proxy that speaks TLS. */
  readonly insecurePlainHttp?: boolean;
}

export interface HttpServers {
  /** Of the first TCP door. */
  readonly host: string;
  readonly port: number;
  readonly url: string;
  /** Of all of them: there are several where a service manager gave several. */
  readonly urls: readonly string[];
  /** Nothing but this machine reaches them. */
  readonly loopbackOnly: boolean;
  readonly socketPath: string | null;
  /** Stops serving without losing what was sent; see `Drain`. True when everything was answered. */
  drain(graceMs: number, pace?: Drain): Promise<boolean>;
}

/** Connections that the kernel may hold for us; it has a limit of its own. */
const BACKLOG = 4_096;

/**
 * Opens the doors: TCP, with TLS where it is given, and the machine's own socket.
 *
 * @throws {VaultError} `address_in_use`; `config_invalid` for an address that cannot be listened on, or that plain HTTP
 * may not be spoken on.
 */
export async function listen(options: ListenOptions): Promise<HttpServers> {
  const { socketPath, sockets = [], tls = null } = options;
  const host = options.host === "localhost" ? "127.0.0.1" : options.host;
  const doors: Door[] = [];
  const isOpenable = (address: string) => isLoopback(address) || tls !== null || options.insecurePlainHttp === true;
  if (sockets.length === 0 && !isOpenable(host)) throw plainHttp();
  try {
    const places = sockets.length === 0 ? [{ host, port: options.port }] : sockets.map((fd) => ({ fd }));
    const addresses: { address: string; port: number }[] = [];
    for (const place of places) {
      const door = new Door(options, false);
      doors.push(door);
      await door.open((server) => server.listen({ ...place, backlog: BACKLOG }));
      const bound = door.server.address();
      if (bound === null || typeof bound === "string")
        throw invalid("listen", "a socket that was given is not for TCP");
      if (!isOpenable(bound.address)) throw plainHttp();
      addresses.push("fd" in place ? bound : { address: host, port: bound.port });
    }
    if (socketPath !== undefined) {
      const machine = new Door(options, true);
      const bind = await bindMachineSocket(socketPath);
      await machine.open(bind);
      doors.push(machine);
    }
    const [first] = addresses;
    const urls = addresses.map(({ address, port }) => {
      const name = isIP(address) === 6 ? `[${address}]` : address;
      return `${tls === null ? "http" : "https"}://${name}:${String(port)}`;
    });
    return {
      host: first?.address ?? host,
      port: first?.port ?? options.port,
      url: urls[0] ?? "",
      urls,
      loopbackOnly: addresses.every(({ address }) => isLoopback(address)),
      socketPath: socketPath ?? null,
      drain: async (graceMs, pace) =>
        (await Promise.all(doors.map((door) => door.drain(graceMs, pace)))).every(Boolean),
    };
  } catch (error) {
    await Promise.all(doors.map((door) => door.drain(0)));
    throw error;
  }
}

function plainHttp(): VaultError {
  return invalid(
    "listen",
    "plain HTTP only on a loopback address: give a certificate (--tls-certificate, --tls-key), or put a proxy that speaks TLS in front and say so",
  );
}

function invalid(field: string, message: string): VaultError {
  return new VaultError("config_invalid", undefined, { detail: { faults: [{ field, message }] } });
}
