import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DAY, HOUR, MINUTE, SECOND } from "#base";
import { EventClock } from "../../src/storage/event-clock.ts";

const START = Date.parse("2030-01-01T00:00:00.000Z");

/** A machine whose clock somebody sets. */
class Machine {
  #elapsed = 0;
  #set = START;

  now(): Date {
    return new Date(this.#set + this.#elapsed);
  }

  readonly elapsedMs = (): number => this.#elapsed;

  passes(ms: number): void {
    this.#elapsed += ms;
  }

  set(byMs: number): void {
    this.#set += byMs;
  }
}

/** A vault's time with an event at `now`, as each commit makes one. */
function made(machine: Machine): { clock: EventClock; event: () => number } {
  const clock = new EventClock(machine);
  const event = (): number => {
    const at = clock.now().getTime();
    clock.notBefore(at);
    return at;
  };
  event();
  return { clock, event };
}

describe("the vault's time", () => {
  it("is the machine's as long as that runs on", () => {
    const machine = new Machine();
    const { clock, event } = made(machine);
    for (let at = 0; at < 100; at += 1) {
      machine.passes(at % 7);
      expect(event()).toBe(machine.now().getTime());
      expect(clock.behindMs).toBe(0);
    }
    machine.set(DAY);
    expect(clock.behindMs).toBe(0);
    expect(event()).toBe(machine.now().getTime());
  });

  it("goes on at half speed when the clock was set back a day, and is the machine's again after two", () => {
    const machine = new Machine();
    const { clock, event } = made(machine);
    machine.set(-DAY);
    expect(event()).toBe(START);
    expect(clock.behindMs).toBe(DAY);
    machine.passes(2 * MINUTE);
    expect(event()).toBe(START + MINUTE);
    machine.passes(2 * DAY - 2 * MINUTE);
    expect(clock.now().getTime()).toBe(machine.now().getTime());
    expect(clock.behindMs).toBe(0);
    machine.passes(SECOND);
    expect(event()).toBe(machine.now().getTime());
  });

  it("does not stand still under a load of events less than 2 ms apart", () => {
    const machine = new Machine();
    const { event } = made(machine);
    machine.set(-DAY);
    for (let at = 0; at < 10_000; at += 1) {
      machine.passes(1);
      event();
    }
    expect(event()).toBe(START + 5_000);
  });

  it("begins with the last event after a restart, however far ahead that is", () => {
    const machine = new Machine();
    const clock = new EventClock(machine);
    clock.notBefore(START + DAY);
    expect(clock.behindMs).toBe(DAY);
    machine.passes(10 * SECOND);
    expect(clock.now().getTime()).toBe(START + DAY + 5 * SECOND);
  });

  it("never runs back behind an event, and lets nothing last longer than twice its time, whatever is done to the clock", () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ passes: fc.integer({ min: 0, max: HOUR }) }),
        fc.record({ set: fc.integer({ min: -2 * DAY, max: 2 * DAY }) }),
      ),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(steps, (all) => {
        const machine = new Machine();
        const { clock, event } = made(machine);
        let last = START;
        for (const step of all) {
          const before = { event: event(), at: machine.elapsedMs() };
          if ("passes" in step) machine.passes(step.passes);
          else machine.set(step.set);
          const now = clock.now().getTime();
          // A millisecond for what is rounded down.
          expect(now - before.event).toBeGreaterThanOrEqual((machine.elapsedMs() - before.at) / 2 - 1);
          expect(now).toBeGreaterThanOrEqual(last);
          last = event();
          expect(last).toBeGreaterThanOrEqual(before.event);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("stands still where nothing tells how time goes by", () => {
    const clock = new EventClock({ now: () => new Date(START - HOUR) });
    clock.notBefore(START);
    expect(clock.now().getTime()).toBe(START);
    expect(clock.behindMs).toBe(HOUR);
  });
});
