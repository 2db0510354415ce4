import { afterEach, describe, expect, test } from "vitest";
import { isVaultError } from "#base";
import { DEFAULT_LOAD, Load } from "../../src/http/load.ts";
import type { LoadSettings, Vitals } from "../../src/http/load.ts";

const KiB = 1024;
const SOMEBODY = "192.0.2.100";
const WELL: Vitals = { residentBytes: 1, heap: 0.1 };
let load: Load;
afterEach(() => load.close());

function under(settings: Partial<LoadSettings>, look: () => Vitals = () => WELL): Load {
  load = new Load({ ...DEFAULT_LOAD, ...settings }, look);
  return load;
}

function refuses(act: () => unknown): boolean {
  try {
    act();
    return false;
  } catch (error) {
    if (!isVaultError(error, "overloaded")) throw error;
    return true;
  }
}

describe("Bodies", () => {
  test("of one source have a quarter of the room, and get it back with their answers", () => {
    const { body } = bodies(400 * KiB);
    const first = body("192.0.2.1");
    first.take(90 * KiB);
    expect(refuses(() => body("192.0.2.1").take(16 * KiB))).toBe(true);
    expect(refuses(() => body("192.0.2.2").take(90 * KiB))).toBe(false);
    first.release();
    expect(refuses(() => body("192.0.2.1").take(90 * KiB))).toBe(false);
  });

  test("of all sources have no more than the room there is", () => {
    const { body } = bodies(400 * KiB);
    for (let n = 0; n < 4; n++) body(`192.0.2.${n}`).take(90 * KiB);
    const last = body("192.0.2.9");
    expect(refuses(() => last.take(41 * KiB))).toBe(true);
    // What was refused holds nothing.
    expect(refuses(() => body("192.0.2.8").take(40 * KiB))).toBe(false);
  });

  test("take room by what arrived, not by what was announced, and a little each for beginning", () => {
    const { body } = bodies(400 * KiB);
    const began = Array.from({ length: 6 }, () => body("192.0.2.1"));
    for (const one of began) one.take(0);
    expect(refuses(() => body("192.0.2.1").take(0))).toBe(true);
    began[0]?.take(16 * KiB);
    expect(refuses(() => began[0]?.take(16 * KiB))).toBe(true);
  });

  test("of the machine's own socket are counted and never refused", () => {
    const { body } = bodies(100 * KiB);
    const own = body(null);
    expect(refuses(() => own.take(500 * KiB))).toBe(false);
    expect(refuses(() => body("192.0.2.1").take(1))).toBe(true);
    own.release();
    own.release();
    expect(refuses(() => body("192.0.2.1").take(1))).toBe(false);
  });

  test("of the addresses of one /64 are one source's", () => {
    const { body } = bodies(400 * KiB);
    body("2001:db8::1").take(90 * KiB);
    expect(refuses(() => body("2001:db8::2").take(16 * KiB))).toBe(true);
    expect(refuses(() => body("2001:db8:0:1::1").take(16 * KiB))).toBe(false);
  });

  function bodies(maxBodyBytes: number) {
    const room = under({ maxBodyBytes });
    return { body: (address: string | null) => room.body(address) };
  }
});

describe("Nothing new is begun", () => {
  test("while the answers that nobody took are too many bytes", () => {
    under({ maxAnswerBytes: 1_000 });
    // Each of them stays within its own share.
    const taken = Array.from({ length: 5 }, (_, n) => load.answering(`192.0.2.${n}`, 199));
    expect(refuses(() => load.admit(SOMEBODY))).toBe(false);
    const more = load.answering("192.0.2.5", 5);
    expect(refuses(() => load.admit(SOMEBODY))).toBe(true);
    const mayAnswer = (bytes: number) => !refuses(() => load.mayAnswer(SOMEBODY, bytes));
    expect([mayAnswer(500), mayAnswer(501)]).toEqual([true, false]);
    taken.pop()?.();
    expect(refuses(() => load.admit(SOMEBODY))).toBe(false);
    more();
  });

  test("for a source that leaves a quarter of it unread, and for nobody else because of it", () => {
    under({ maxAnswerBytes: 1_000 });
    const taken = [load.answering("2001:db8::1", 200), load.answering("2001:db8::2", 50)];
    expect(refuses(() => load.admit("2001:db8::3"))).toBe(true);
    expect(refuses(() => load.admit("2001:db8:0:1::1"))).toBe(false);
    expect(refuses(() => load.mayAnswer("2001:db8::3", 250))).toBe(false);
    expect(refuses(() => load.mayAnswer("2001:db8::3", 251))).toBe(true);
    taken.pop()?.();
    expect(refuses(() => load.admit("2001:db8::3"))).toBe(false);
  });

  test("but by the machine's own socket, whose answers are counted", () => {
    under({ maxAnswerBytes: 1_000 });
    const taken = load.answering(null, 3_000);
    expect([refuses(() => load.admit(null)), refuses(() => load.mayAnswer(null, 5_000))]).toEqual([false, false]);
    expect([refuses(() => load.admit(SOMEBODY)), refuses(() => load.mayAnswer(SOMEBODY, 1))]).toEqual([true, true]);
    taken();
    expect(refuses(() => load.admit(SOMEBODY))).toBe(false);
  });

  test.each([
    ["the process has more memory than it may", { ...WELL, residentBytes: 1_001 }],
    ["the heap is nearly full", { ...WELL, heap: 0.9 }],
  ])("while %s, and again when it has not", async (_name, vitals) => {
    let now = WELL;
    under({ maxMemoryBytes: 1_000 }, () => now);
    expect(refuses(() => load.admit(SOMEBODY))).toBe(false);
    now = vitals;
    await expect.poll(() => refuses(() => load.admit(SOMEBODY))).toBe(true);
    now = WELL;
    await expect.poll(() => refuses(() => load.admit(SOMEBODY))).toBe(false);
  });

  test("because of a memory that the system does not tell just now, but for what it told last", async () => {
    let now: Vitals = WELL;
    under({ maxMemoryBytes: 1_000 }, () => now);
    expect(refuses(() => load.admit(SOMEBODY))).toBe(false);
    now = { ...WELL, residentBytes: null };
    await settled();
    expect(refuses(() => load.admit(SOMEBODY))).toBe(false);
    now = { ...WELL, residentBytes: 1_001 };
    await expect.poll(() => refuses(() => load.admit(SOMEBODY))).toBe(true);
    now = { ...WELL, residentBytes: null };
    await settled();
    expect(refuses(() => load.admit(SOMEBODY))).toBe(true);

    /** Until it has looked again. */
    async function settled(): Promise<void> {
      let looked = false;
      const { residentBytes } = now;
      now = {
        heap: WELL.heap,
        get residentBytes() {
          looked = true;
          return residentBytes;
        },
      };
      await expect
        .poll(() => {
          refuses(() => load.admit(SOMEBODY));
          return looked;
        })
        .toBe(true);
    }
  });

  test("while the process lags behind itself, but not for one slow moment", async () => {
    under({ maxLagMs: 150 });
    await turn();
    block(500);
    await turn();
    expect(refuses(() => load.admit(SOMEBODY))).toBe(false);
    let refused = false;
    for (let n = 0; n < 5; n++) {
      block(500);
      await turn();
      refused ||= refuses(() => load.admit(SOMEBODY));
    }
    expect(refused).toBe(true);
    await expect.poll(() => refuses(() => load.admit(SOMEBODY)), { timeout: 60_000 }).toBe(false);
  });

  test("while as many operations are at work as may be; the machine's own are", () => {
    under({ maxInFlight: 2 });
    const leave = load.enter();
    load.enter();
    expect(refuses(() => load.enter())).toBe(true);
    load.enter(true)();
    leave();
    expect(refuses(() => load.enter())).toBe(false);
  });
});

function block(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end;);
}

/** Lets a timer that is due run. */
const turn = () => new Promise((resolve) => setTimeout(resolve, 1));
