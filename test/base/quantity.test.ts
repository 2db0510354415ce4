import { describe, expect, test } from "vitest";
import { DAY, HOUR, MINUTE, SECOND, formatSize, formatSpan } from "#base";

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

describe("What a person is told", () => {
  test.each([
    [0, "0 KiB"],
    [1, "1 KiB"],
    [180 * KIB, "180 KiB"],
    [MIB - KIB, "1023 KiB"],
    [MIB - 1, "1 MiB"],
    [12.4 * MIB, "12 MiB"],
    [GIB - 1, "1.0 GiB"],
    [3.42 * GIB, "3.4 GiB"],
    [5000 * GIB, "5000.0 GiB"],
  ])("of %d bytes is %s", (bytes, text) => {
    expect(formatSize(bytes)).toBe(text);
  });

  test.each([
    [0, "0 seconds"],
    [1 * SECOND, "1 second"],
    [90 * SECOND, "90 seconds"],
    [2 * MINUTE, "2 minutes"],
    [119 * MINUTE, "119 minutes"],
    [2 * HOUR, "2 hours"],
    [-(DAY + 40 * MINUTE), "25 hours"],
    [2 * DAY, "2 days"],
    [59.9 * DAY, "60 days"],
  ])("of %d milliseconds is %s", (ms, text) => {
    expect(formatSpan(ms)).toBe(text);
  });
});
