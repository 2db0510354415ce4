import { INSTANCE, isVaultError } from "#base";
import type { Id } from "#base";
import { equal } from "#crypto";
import { oneOf } from "#storage";
import type { Reader, Row } from "#storage";
import type { PublicPart } from "./event.ts";
import { faultsOf, parsePublic } from "./slot-walk.ts";

const WHERE = "the founding of the org";

/**
 * The event that founded an org. It is the one event about the org's rows that stands in the instance's chain and not in the
 * org's own: the first there, of any slot, that succeeded on this org. It is held to its own content and to the events beside
 * it in its slot; that the whole of the instance's chain is what was signed, only the verification of that chain can say. A
 * second one is a forgery: put into a slot where no event is as old yet, it would come first.
 */
export async function foundingOf(
  instance: Reader,
  slots: readonly number[],
  org: Id<"org">,
  fault: (where: string, what: string) => void,
): Promise<PublicPart | null> {
  try {
    const [event, ...later] = await instance.list("auditEvents", {
      where: { slot: oneOf(slots), targetId: org, result: "success" },
      order: ["time", "slot", "seq"],
    });
    if (event === undefined) {
      fault(WHERE, "no event of the instance's chain tells of it");
      return null;
    }
    const [before, after] = [
      await eventAt(instance, event.slot, event.seq - 1),
      await eventAt(instance, event.slot, event.seq + 1),
    ];
    const part = parsePublic(event.public);
    const previous = before?.hash ?? Buffer.alloc(32);
    for (const what of faultsOf(event, part, INSTANCE, previous, before?.time.getTime() ?? 0)) fault(WHERE, what);
    if (after !== null && !equal(after.previousHash, event.hash))
      fault(WHERE, "the next event does not follow from it");
    if (later.some((one) => parsePublic(one.public)?.rows.length !== 0)) fault(WHERE, "another event tells of it too");
    return part;
  } catch (error) {
    if (!isVaultError(error, "integrity_failed")) throw error;
    fault(WHERE, "it, or an event beside it, cannot be read");
    return null;
  }
}

function eventAt(instance: Reader, slot: number, seq: number): Promise<Row<"auditEvents"> | null> {
  return instance.get("auditEvents", { slot, seq });
}
