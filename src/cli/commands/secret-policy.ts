import { usage } from "../error.ts";
import { call } from "../operation.ts";
import { SCOPE } from "../options.ts";
import { NAME_ARGUMENT, secretOf, showSecret } from "./secret-shown.ts";

export const policyOfSecret = call({
  name: "policy",
  summary: "Say which namespaces, workloads and roles may reference a secret",
  about: "Without a policy the workloads of its own namespace may. What is not named keeps what it was.",
  arguments: NAME_ARGUMENT,
  options: [
    ...SCOPE,
    { flags: "--allow-namespace <name>", meaning: "workloads of this namespace may", many: true },
    { flags: "--allow-workload <namespace/workload>", meaning: "this workload may", many: true },
    { flags: "--allow-role <role>", meaning: "who makes the reference needs one of these roles", many: true },
    { flags: "--default", meaning: "take the policy away" },
  ],
  examples: [
    "sallyport secret policy STRIPE_KEY -n payments --allow-namespace data-pipelines",
    "sallyport secret policy STRIPE_KEY -n payments --default",
  ],
  operation: "secret.policy",
  ask(cli, given) {
    const parts = {
      namespaces: given.list("allow-namespace"),
      workloads: given.list("allow-workload"),
      roles: given.list("allow-role"),
    };
    const named = Object.fromEntries(
      Object.entries(parts).flatMap(([part, names]) => (names === undefined ? [] : [[part, [...names]]])),
    );
    const isDefault = given.flag("default");
    if (isDefault === Object.keys(named).length > 0)
      throw usage("Give --allow-…, or --default to take the policy away.");
    return { params: secretOf(cli, given), body: isDefault ? null : named };
  },
  show: showSecret,
});
