import { BlockList, isIP } from "node:net";

/** Whether an address is in one of these ranges. No range at all is no limit; no address (the machine's socket) is in none. */
export function addressAllowed(cidrs: readonly string[], address: string | null): boolean {
  if (cidrs.length === 0) return true;
  if (address === null || isIP(address) === 0) return false;
  return blockList(cidrs).check(address, familyOf(address));
}

/** A list of addresses and CIDR ranges, of both families. */
export function blockList(cidrs: readonly string[]): BlockList {
  const list = new BlockList();
  for (const cidr of cidrs) {
    const [network = "", prefix] = cidr.split("/");
    if (prefix === undefined) list.addAddress(network, familyOf(network));
    else list.addSubnet(network, Number(prefix), familyOf(network));
  }
  return list;
}

function familyOf(address: string): "ipv4" | "ipv6" {
  return isIP(address) === 6 ? "ipv6" : "ipv4";
}
