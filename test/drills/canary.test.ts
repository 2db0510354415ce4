import { expect, it } from "vitest";
import { canary } from "../../scripts/drills/canary.ts";

it("A secret that went everywhere stands nowhere afterwards (R65, R77)", { timeout: 240_000 }, async () => {
  const { n, failures } = await canary.run("small");
  expect(failures).toEqual([]);
  expect(n).toBeGreaterThan(300);
});
