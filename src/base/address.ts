/** What counts as one source: an IPv4 address, or the /64 of an IPv6 one, which is what one customer gets. */
export function sourceOf(address: string): string {
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.split("::");
  const groups = head === "" ? [] : head.split(":");
  if (tail !== undefined) {
    const after = tail === "" ? 0 : tail.split(":").length;
    while (groups.length + after < 8) groups.push("0");
  }
  return `${groups.slice(0, 4).join(":")}::/64`;
}

const OCTET = "(?:25[0-5]|2[0-4]\\d|1?\\d?\\d)";
const LOOPBACK = new RegExp(`^(?:localhost|::1|\\[::1\\]|(?:::ffff:)?127(?:\\.${OCTET}){3})$`);

/** Whether a host, as an address or as it stands in a URL, is reached from this machine only. */
export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host);
}
