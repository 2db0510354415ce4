import { SocketAddress, isIP } from "node:net";
import type { BlockList } from "node:net";

/**
 * The client's address: the rightmost hop of X-Forwarded-For that is not a trusted proxy, else the socket's. A hop that
 * is no address ends the search at the proxy that passed it on.
 */
export function clientAddress(socket: string, forwardedFor: string | undefined, trusted: BlockList | null): string {
  let client = normalAddress(socket) ?? socket;
  const hops = (forwardedFor ?? "").split(",").map((hop) => normalAddress(hop.trim()));
  while (trusted !== null && isTrusted(trusted, client)) {
    const hop = hops.pop();
    if (hop === undefined || hop === null) break;
    client = hop;
  }
  return client;
}

/** One spelling for each address: IPv6 as RFC 5952 writes it, without zone, and IPv4 for what is mapped into IPv6. */
export function normalAddress(text: string): string | null {
  const bare = text.replace(/%.*$/, "");
  if (isIP(bare) === 4) return bare;
  if (isIP(bare) !== 6) return null;
  const { address } = new SocketAddress({ address: bare, family: "ipv6" });
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice("::ffff:".length) : address;
}

export function isTrusted(trusted: BlockList, address: string): boolean {
  const family = isIP(address);
  return family !== 0 && trusted.check(address, family === 6 ? "ipv6" : "ipv4");
}
