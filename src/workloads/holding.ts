import type { Id } from "#base";
import { above, containing, oneOf } from "#storage";
import type { Reader, Row } from "#storage";

const LEASES_AT_ONCE = 500;

/**
 * How many launches hold the secret now: their exchange delivered it, their lease runs, and neither their workload nor
 * their environment was stopped.
 */
export async function launchesHolding(reader: Reader, secret: Id<"sec">, now: Date): Promise<number> {
  const leases = await reader.list("leases", { where: { state: "active", expiresAt: above(now) } });
  let launches = 0;
  for (let from = 0; from < leases.length; from += LEASES_AT_ONCE) {
    const injections = leases.slice(from, from + LEASES_AT_ONCE).map((lease) => lease.injectionId);
    const delivered = containing<Row<"exchanges">["delivered"]>(JSON.stringify(secret));
    const exchanges = await reader.list("exchanges", { where: { injectionId: oneOf(injections), delivered } });
    if (exchanges.length > 0) launches += await running(reader, exchanges);
  }
  return launches;
}

async function running(reader: Reader, exchanges: readonly Row<"exchanges">[]): Promise<number> {
  const injections = await reader.list("injections", {
    where: { id: oneOf(exchanges.map((exchange) => exchange.injectionId)) },
  });
  const [environments, workloads] = await Promise.all([
    reader.list("environments", {
      where: { id: oneOf([...new Set(injections.map((one) => one.environmentId))]), state: "active" },
    }),
    reader.list("workloads", {
      where: { id: oneOf([...new Set(injections.map((one) => one.workloadId))]), state: "active" },
    }),
  ]);
  return injections.filter(
    (one) =>
      environments.some((environment) => environment.id === one.environmentId) &&
      workloads.some((workload) => workload.id === one.workloadId),
  ).length;
}
