import { call } from "../operation.ts";
import { formatTime } from "../text.ts";

export const whoami = call({
  name: "whoami",
  summary: "Who you are and what you may do where",
  examples: ["sallyport whoami", "sallyport whoami --json"],
  operation: "whoami.get",
  ask: () => ({}),
  show(me, out) {
    out.fields({
      name: me.name,
      type: me.type === "machine" ? "the person at the machine" : me.type,
      role: me.role,
      org: me.org,
      "instance admin": me.instanceAdmin,
      id: me.id,
    });
    if (me.grants.length === 0) return;
    out.line("");
    out.table(me.grants, {
      role: (grant) => grant.role,
      environment: (grant) => grant.environment ?? "*",
      namespace: (grant) => grant.namespace ?? "*",
      workload: (grant) => grant.workload ?? "*",
      ends: (grant) => formatTime(grant.endsAt),
    });
  },
});
