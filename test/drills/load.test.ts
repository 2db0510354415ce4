import { describe, expect, it } from "vitest";
import { crash } from "../../scripts/drills/crash.ts";
import { drain } from "../../scripts/drills/drain.ts";
import { once } from "../../scripts/drills/once.ts";

describe("A real server", () => {
  it("grants each token exactly once, whoever tries how often (R70)", { timeout: 240_000 }, async () => {
    const { n, failures, said } = await once.run("small");
    expect(failures).toEqual([]);
    expect([n, said.granted]).toEqual([400, 40]);
  });

  it("loses nothing it acknowledged and grants nothing twice when it is killed", { timeout: 240_000 }, async () => {
    const { n, failures } = await crash.run("small");
    expect(failures).toEqual([]);
    expect(n).toBe(2);
  });

  it(
    "answers what is in flight when it is told to stop, makes it durable, and starts again",
    { timeout: 240_000 },
    async () => {
      const { n, failures } = await drain.run("small");
      expect(failures).toEqual([]);
      expect(n).toBe(1);
    },
  );
});
