import { expect, test } from "vitest";
import { ERRORS } from "#base";
import type { ErrorCode } from "#base";
import { STATUS } from "#http";

test("Every error has a status, and what only the start of the process can meet is never a client's fault", () => {
  expect(Object.keys(STATUS).sort()).toEqual(Object.keys(ERRORS).sort());
  for (const status of Object.values(STATUS)) expect(status >= 400 && status < 600).toBe(true);
  const local: ErrorCode[] = [
    "config_invalid",
    "key_file_unsafe",
    "key_file_invalid",
    "key_file_missing",
    "folder_in_use",
    "address_in_use",
  ];
  for (const code of local) expect(STATUS[code]).toBe(500);
});
