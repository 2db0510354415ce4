import { describe, expect, it } from "vitest";
import { isVaultError } from "#base";
import { Crowd } from "../../src/identity/crowd.ts";

describe("passwords that are checked at a time", () => {
  const refused = (crowd: Crowd, address: string): boolean => {
    try {
      crowd.enter(address);
      return false;
    } catch (error) {
      return isVaultError(error, "rate_limited");
    }
  };

  it("are sixteen of one source, so that nobody fills the queue alone", () => {
    const crowd = new Crowd();
    const leave = Array.from({ length: 16 }, (_, n) => crowd.enter(`2001:db8::${String(n + 1)}`));
    expect(refused(crowd, "2001:db8::ffff")).toBe(true);
    expect(refused(crowd, "2001:db8:0:1::1")).toBe(false);
    expect(refused(crowd, "192.0.2.1")).toBe(false);
    leave[0]?.();
    expect(refused(crowd, "2001:db8::ffff")).toBe(false);
    expect(refused(crowd, "2001:db8::fffe")).toBe(true);
  });

  it("are not limited for the person at the machine", () => {
    const crowd = new Crowd();
    for (let n = 0; n < 100; n++) crowd.enter(null);
    expect(refused(crowd, "127.0.0.1")).toBe(false);
  });
});
