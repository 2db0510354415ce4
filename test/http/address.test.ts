import { BlockList } from "node:net";
import { isLoopback, sourceOf } from "#base";
import { describe, expect, test } from "vitest";
import { clientAddress, normalAddress } from "../../src/http/address.ts";

const trusted = new BlockList();
trusted.addSubnet("10.0.0.0", 8);
trusted.addSubnet("fd00::", 8, "ipv6");

describe("The client's address", () => {
  test.each([
    ["is the socket's, whatever a stranger forwards", "192.0.2.1", "198.51.100.7", "192.0.2.1"],
    ["is the hop that a trusted proxy names", "10.0.0.1", "198.51.100.7", "198.51.100.7"],
    [
      "is the rightmost hop that is not trusted: the client writes what is left of it",
      "10.0.0.1",
      "1.1.1.1, 198.51.100.7, 10.2.3.4",
      "198.51.100.7",
    ],
    ["is the leftmost hop where all are trusted", "10.0.0.1", "10.9.9.9, 10.2.3.4", "10.9.9.9"],
    ["is the proxy's where it forwards nothing", "10.0.0.1", undefined, "10.0.0.1"],
    ["is the proxy's where it forwards no address", "10.0.0.1", "198.51.100.7, unknown", "10.0.0.1"],
    ["is not searched beyond a hop that is no address", "10.0.0.1", "198.51.100.7, <script>, 10.2.3.4", "10.2.3.4"],
    ["knows IPv4 in IPv6", "::ffff:10.0.0.1", "::ffff:198.51.100.7", "198.51.100.7"],
    ["knows IPv6 proxies", "fd12::1", "2001:DB8:0:0::1", "2001:db8::1"],
  ])("%s", (_name, socket, forwarded, client) => {
    expect(clientAddress(socket, forwarded, trusted)).toBe(client);
  });

  test("is the socket's where no proxy is trusted", () => {
    expect(clientAddress("10.0.0.1", "198.51.100.7", null)).toBe("10.0.0.1");
  });

  test("has one spelling", () => {
    expect(normalAddress("2001:0DB8:0000::0001%eth0")).toBe("2001:db8::1");
    expect(normalAddress("::FFFF:0a00:0001")).toBe("10.0.0.1");
    for (const text of ["", "unknown", "10.0.0.1:80", "010.0.0.1", "[::1]", "10.0.0"])
      expect(normalAddress(text)).toBeNull();
  });

  test("counts in limits by the /64 of an IPv6 network, and by itself in IPv4", () => {
    expect(sourceOf("192.0.2.1")).toBe("192.0.2.1");
    expect(sourceOf("2001:db8:1:2:3:4:5:6")).toBe("2001:db8:1:2::/64");
    expect(sourceOf("2001:db8:1:2::9")).toBe("2001:db8:1:2::/64");
    expect(sourceOf("2001:db8::5:6")).toBe("2001:db8:0:0::/64");
    expect(sourceOf("::1")).toBe("0:0:0:0::/64");
    expect(sourceOf("2001:db8:0:3::")).not.toBe(sourceOf("2001:db8:0:4::"));
  });

  test("is loopback only where it is", () => {
    for (const address of ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1", "localhost"])
      expect(isLoopback(address)).toBe(true);
    for (const address of [
      "0.0.0.0",
      "::",
      "10.0.0.1",
      "128.0.0.1",
      "localhost.evil.test",
      "127.0.0.1.evil.test",
      "127.0.0.256",
      "127.1",
      "",
    ])
      expect(isLoopback(address)).toBe(false);
  });
});
