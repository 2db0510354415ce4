import { INSTANCE, isVaultError } from "#base";
import type { Id } from "#base";
import { equal } from "#crypto";
import type { Reader, Row } from "#storage";
import type { PublicPart } from "./event.ts";
import { SLOT, faultsOf, parsePublic } from "./walk.ts";

const WHERE = "the founding of the org";

/**
 * The event that founded an org. It is the one event about the org's rows that stands in the instance's chain and not in the
 * org's own: the first there that succeeded on this org. It is held to its own content and to the events beside it; that the
 * whole of the instance's chain is what was signed, only the verification of that chain can say.
 */
export async function foundingOf(
  instance: Reader,
  org: Id<"org">,
  fault: (where: string, what: string) => void,
): Promise<PublicPart | null> {
  try {
    const [event] = await instance.list("auditEvents", {
      where: { slot: SLOT, targetId: org, result: "success" },
      order: ["slot", "seq"],
      limit: 1,
    });
    if (event === undefined) {
      fault(WHERE, "no event of the instance's chain tells of it");
      return null;
    }
    const [before, after] = [await eventAt(instance, event.seq - 1), await eventAt(instance, event.seq + 1)];
    const part = parsePublic(event.public);
    const previous = before?.hash ?? Buffer.alloc(32);
    for (const what of faultsOf(event, part, INSTANCE, previous, before?.time.getTime() ?? 0)) fault(WHERE, what);
    if (after !== null && !equal(after.previousHash, event.hash))
      fault(WHERE, "the next event does not follow from it");
    return part;
  } catch (error) {
    if (!isVaultError(error, "integrity_failed")) throw error;
    fault(WHERE, "it, or an event beside it, cannot be read");
    return null;
  }
}

function eventAt(instance: Reader, seq: number): Promise<Row<"auditEvents"> | null> {
  return instance.get("auditEvents", { slot: SLOT, seq });
}
