import type { LaunchPlace } from "#access";
import type { Row } from "#storage";
import { NOT_THERE } from "./resolve.ts";
import type { ReferenceCheck } from "./resolve.ts";

type Scope = {
  readonly environment: Row<"environments">;
  readonly namespace: Row<"namespaces">;
  readonly workload: null;
};

/** Who makes a reference: whoever deploys, or the author of a manifest that is followed. */
export interface Referrer {
  /** Holds `secret.reference` there. */
  may(scope: Scope): Promise<boolean>;
  roles(scope: Scope): Promise<readonly string[]>;
}

/**
 * A reference takes `secret.reference` in the environment of the secret: in its namespace or, where its policy offers it, in
 * the workload's; and one of the roles that the secret's policy names, if it names any.
 */
export function referrerCheck(place: LaunchPlace, referrer: Referrer): ReferenceCheck {
  const may = oncePerScope((scope) => referrer.may(scope));
  const roles = oncePerScope((scope) => referrer.roles(scope));
  return async ({ environment, namespace }, secret) => {
    const there: Scope = { environment, namespace, workload: null };
    const here: Scope = { environment, namespace: place.namespace, workload: null };
    const [mayThere, mayHere] = await Promise.all([may(there), may(here)]);
    if (!mayThere && !mayHere) return NOT_THERE;
    const wanted = secret?.policy?.roles ?? [];
    if (wanted.length === 0) return null;
    const held = new Set([...(await roles(there)), ...(await roles(here))]);
    if (wanted.some((role) => held.has(role))) return null;
    return mayThere ? "its policy names roles that may reference it, and none of them is held" : NOT_THERE;
  };
}

/** A manifest asks the same of few scopes, over and over. */
function oncePerScope<T>(ask: (scope: Scope) => Promise<T>): (scope: Scope) => Promise<T> {
  const asked = new Map<string, Promise<T>>();
  return (scope) => {
    const key = `${scope.environment.id}/${scope.namespace.id}`;
    const answer = asked.get(key) ?? ask(scope);
    asked.set(key, answer);
    return answer;
  };
}
