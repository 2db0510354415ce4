import { describe, expect, it } from "vitest";
import { PERMISSIONS } from "#base";
import type { Permission } from "#base";
import { decide, mayReach, permissionsOf } from "#access";
import type { AccessFacts, Decision, Place, Subject } from "#access";
import { NOW, environment, facts, grant, namespace, newId, place, subject, workload } from "./facts.ts";

const open = environment("open");
const restricted = environment("restricted");
const closed = environment("private");
const pipelines = namespace("data-pipelines");
const content = namespace("content-ops");

interface Case {
  readonly who: Subject;
  readonly at: Place;
  readonly knowing?: AccessFacts;
  readonly now?: Date;
}

const ask = ({ who, at, knowing = facts(), now = NOW }: Case, action: Permission): Decision =>
  decide(who, action, at, knowing, now);
const allow = (given: Case, ...actions: Permission[]): void => {
  for (const action of actions) expect({ action, ...ask(given, action) }).toMatchObject({ action, allowed: true });
};
const deny = (given: Case, ...actions: Permission[]): void => {
  for (const action of actions) expect({ action, ...ask(given, action) }).toMatchObject({ action, allowed: false });
};
/** Everything a role holds, and nothing else of what can be granted. */
const exactly = (given: Case, role: string | null): void => {
  const held = role === null ? new Set<Permission>() : permissionsOf(role);
  for (const action of PERMISSIONS) {
    if (["self", "audit.read.own", "request.create", "instance.admin"].includes(action)) continue;
    expect({ action, allowed: ask(given, action).allowed }).toEqual({ action, allowed: held.has(action) });
  }
};

const owner = subject({ orgRole: "owner" });
const admin = subject({ orgRole: "admin" });
const member = subject({ orgRole: "member" });
const guest = subject({ orgRole: "guest" });
const ci = subject({ kind: "ci" });
const agent = subject({ kind: "agent" });
const runner = subject({ kind: "runner" });

describe("what nobody granted", () => {
  it.each([
    ["member", member, open, "contributor"],
    ["member", member, restricted, "viewer"],
    ["member", member, closed, null],
    ["ci service user", ci, open, "contributor"],
    ["ci service user", ci, restricted, "viewer"],
    ["ci service user", ci, closed, null],
    ["guest", guest, open, null],
    ["guest", guest, restricted, null],
    ["guest", guest, closed, null],
    ["agent", agent, open, null],
    ["agent", agent, restricted, null],
    ["agent", agent, closed, null],
    ["runner", runner, open, null],
    ["runner", runner, restricted, null],
    ["runner", runner, closed, null],
  ] as const)(
    "gives a %s in an environment of a mode what that mode gives (R83, R84, R87, R88, R176, C4)",
    (_, who, where, role) => {
      exactly({ who, at: place({ environment: where, namespace: pipelines }) }, role);
    },
  );

  it.each([
    ["owner", owner],
    ["admin", admin],
  ] as const)("leaves an %s full in every mode, with no grant (R33, R85, R86, R128)", (role, who) => {
    for (const where of [open, restricted, closed]) exactly({ who, at: place({ environment: where }) }, role);
    exactly({ who, at: place() }, role);
  });

  it("does not let a private environment exist for those who have nothing in it, and lets the org exist for its own", () => {
    for (const who of [member, ci, guest, agent, runner])
      expect(ask({ who, at: place({ environment: closed }) }, "workload.view")).toMatchObject({ visible: false });
    expect(ask({ who: member, at: place({ environment: restricted }) }, "secret.write")).toMatchObject({
      visible: true,
      missing: "secret.write",
    });
    expect(ask({ who: guest, at: place() }, "member.manage")).toMatchObject({
      visible: true,
      missing: "member.manage",
    });
  });

  it("gives nothing in a deleted environment, and nothing outside of any environment", () => {
    exactly({ who: member, at: place({ environment: environment("open", { state: "deleted" }) }) }, null);
    exactly({ who: member, at: place({ namespace: pipelines }) }, null);
  });

  it("is everybody's where it is one's own", () => {
    for (const who of [owner, member, guest, ci, agent, runner])
      allow({ who, at: place({ environment: closed }) }, "self", "audit.read.own", "request.create");
  });
});

describe("the actor", () => {
  it("who is not active gets nothing, and nothing exists for it (R148)", () => {
    for (const who of [owner, admin, member].map((one) => ({ ...one, active: false }))) {
      deny({ who, at: place({ environment: open }) }, ...PERMISSIONS);
      expect(ask({ who, at: place() }, "self")).toMatchObject({ visible: false, missing: null });
    }
  });

  it("of another org gets nothing, whatever its role, and nothing exists for it (R12, R19)", () => {
    const stranger = subject({ orgRole: "owner", instanceAdmin: true, org: newId("org") });
    deny({ who: stranger, at: place({ environment: open }) }, ...PERMISSIONS);
    expect(ask({ who: stranger, at: place() }, "secret.list")).toMatchObject({ visible: false });
  });

  it("holds the instance only by its own mark, not by being an owner", () => {
    deny({ who: owner, at: place() }, "instance.admin");
    allow({ who: subject({ orgRole: "guest", instanceAdmin: true }), at: place() }, "instance.admin");
    expect(ask({ who: owner, at: place() }, "instance.admin").visible).toBe(false);
  });
});

describe("grants", () => {
  const at = place({ environment: restricted, namespace: pipelines });
  const given = (role: string, scope: Parameters<typeof grant>[1], where = at, who = guest): Case => ({
    who,
    at: where,
    knowing: facts([grant(role, scope)]),
  });
  const elsewhere = place({ environment: open, namespace: content });

  it.each([
    ["the org", {}, [at, elsewhere], []],
    [
      "an environment",
      { environmentId: restricted.id },
      [at, place({ environment: restricted, namespace: content })],
      [elsewhere],
    ],
    [
      "a namespace",
      { namespaceId: pipelines.id },
      [at, place({ environment: open, namespace: pipelines })],
      [elsewhere],
    ],
    [
      "an environment and a namespace",
      { environmentId: restricted.id, namespaceId: pipelines.id },
      [at],
      [
        elsewhere,
        place({ environment: restricted, namespace: content }),
        place({ environment: open, namespace: pipelines }),
        place({ environment: restricted }),
      ],
    ],
  ] as const)("on %s cover it and nothing beside it (R8, R110)", (_, scope, inside, outside) => {
    for (const where of inside) exactly(given("builder", scope, where), "builder");
    for (const where of outside) exactly(given("builder", scope, where), null);
  });

  it("on a workload cover it, in the environment they name, and nothing beside it (R62)", () => {
    const etl = workload();
    const scope = { environmentId: restricted.id, namespaceId: pipelines.id, workloadId: etl.id };
    exactly(given("operator", scope, { ...at, workload: etl }), "operator");
    exactly(given("operator", scope, at), null);
    exactly(given("operator", scope, { ...at, workload: workload() }), null);
    exactly(given("operator", scope, { ...at, environment: open, workload: etl }), null);
  });

  it("of the org reach the org itself; those of an environment do not", () => {
    allow(given("auditor", {}, place()), "audit.read.org", "audit.export");
    deny(given("auditor", { environmentId: restricted.id }, place()), "audit.read.org", "audit.export");
  });

  it("are a union: none takes away what another gives", () => {
    const both = facts([
      grant("viewer", { environmentId: restricted.id }),
      grant("operator", { namespaceId: pipelines.id }),
    ]);
    allow({ who: guest, at, knowing: both }, "workload.run", "workload.view");
    deny({ who: guest, at, knowing: both }, "secret.list");
  });

  it.each([
    ["an environment grant", { environmentId: open.id }],
    ["a namespace grant", { namespaceId: pipelines.id }],
  ] as const)("put the default out by %s, even where they give less", (_, scope) => {
    const where = place({ environment: open, namespace: pipelines });
    exactly({ who: member, at: where }, "contributor");
    exactly(given("viewer", scope, where, member), "viewer");
  });

  it("on a workload or the org leave the default as it is", () => {
    const etl = workload();
    const where = place({ environment: open, namespace: pipelines, workload: etl });
    exactly(given("viewer", { workloadId: etl.id }, where, member), "contributor");
    exactly(given("viewer", {}, where, member), "contributor");
    allow(given("operator", { workloadId: etl.id }, { ...where, environment: restricted }, member), "workload.run");
  });

  it("say builder in dev and operator in prod at once (R9, C8)", () => {
    const preset = facts([
      grant("builder", { environmentId: open.id }),
      grant("operator", { environmentId: restricted.id }),
    ]);
    exactly({ who: member, at: place({ environment: open, namespace: pipelines }), knowing: preset }, "builder");
    exactly({ who: member, at: place({ environment: restricted, namespace: pipelines }), knowing: preset }, "operator");
  });

  it("let a ci service user deploy to a restricted environment only as contributor there (R93, R96, R123, R129)", () => {
    deny({ who: ci, at }, "workload.deploy");
    allow(given("contributor", { environmentId: restricted.id }, at, ci), "workload.deploy");
  });

  it("count from their start to before their end, to the millisecond (R172)", () => {
    const startsAt = new Date("2030-01-01T12:00:00.000Z");
    const endsAt = new Date("2030-01-01T13:00:00.000Z");
    const timed = facts([grant("operator", { environmentId: restricted.id, startsAt, endsAt })]);
    const when = (ms: number): Case => ({ who: guest, at, knowing: timed, now: new Date(ms) });
    deny(when(startsAt.getTime() - 1), "workload.run");
    allow(when(startsAt.getTime()), "workload.run");
    allow(when(endsAt.getTime() - 1), "workload.run");
    deny(when(endsAt.getTime()), "workload.run");
    const over = {
      who: member,
      at: place({ environment: open }),
      knowing: facts([grant("viewer", { environmentId: open.id, endsAt: NOW })]),
    };
    exactly(over, "contributor");
  });

  it("that were removed, or name a role nobody knows, give nothing", () => {
    exactly(given("contributor", { state: "removed" }), null);
    exactly(given("superuser", {}), null);
    exactly(given("__proto__", {}), null);
  });

  it("never hold what only an owner holds", () => {
    for (const role of ["contributor", "builder", "operator", "viewer", "auditor", "runner", "service"])
      deny(given(role, {}), "owner.assign", "org.manage", "member.manage", "grant.manage", "secret.reveal");
  });
});

describe("an explicit workload", () => {
  const etl = workload({ access: "explicit" });
  const at = place({ environment: open, namespace: pipelines, workload: etl });

  it("is closed to defaults and to grants on anything but itself (R63, R64)", () => {
    exactly({ who: member, at }, null);
    expect(ask({ who: member, at }, "workload.view").visible).toBe(false);
    for (const scope of [{}, { environmentId: open.id }, { namespaceId: pipelines.id }])
      exactly({ who: member, at, knowing: facts([grant("contributor", scope)]) }, null);
  });

  it("is open to a grant on itself, and to owners and admins (R59, R60, R61)", () => {
    exactly({ who: guest, at, knowing: facts([grant("operator", { workloadId: etl.id })]) }, "operator");
    exactly({ who: admin, at }, "admin");
    exactly({ who: owner, at }, "owner");
  });

  it("is its creator's to build, and no more", () => {
    const creator = subject({ id: etl.createdBy, orgRole: "member" });
    exactly({ who: creator, at }, "builder");
    const guestCreator = subject({ id: etl.createdBy, orgRole: "guest" });
    exactly({ who: guestCreator, at, knowing: facts([grant("builder", { environmentId: open.id })]) }, "builder");
  });

  it("is nothing to its creator where they could not create it now: elsewhere, or after their grant (R95, R127)", () => {
    const creator = subject({ id: etl.createdBy, orgRole: "member" });
    exactly({ who: creator, at: { ...at, environment: environment("restricted") } }, null);
    exactly({ who: creator, at: { ...at, environment: environment("private") } }, null);
    exactly({ who: subject({ id: etl.createdBy, orgRole: "guest" }), at }, null);
    const agent = subject({ id: etl.createdBy, orgRole: null, kind: "agent" });
    exactly({ who: agent, at }, null);
    exactly({ who: agent, at, knowing: facts([grant("viewer", { environmentId: open.id })]) }, null);
  });

  it("gives its creator nothing while everybody's rules apply to it", () => {
    const inherited = workload({ createdBy: guest.id });
    exactly({ who: guest, at: { ...at, workload: inherited } }, null);
  });
});

describe("what stands against it", () => {
  const STOPPED: Permission[] = [
    "workload.run",
    "injection.receive",
    "workload.deploy",
    "workload.edit",
    "secret.write",
    "secret.reference",
  ];

  it("a disabled environment launches nothing and takes nothing, for owners too; looking and deleting stay", () => {
    const at = place({ environment: environment("open", { state: "disabled" }), namespace: pipelines });
    deny({ who: owner, at }, ...STOPPED);
    expect(ask({ who: owner, at }, "workload.run")).toMatchObject({ missing: null, visible: true });
    allow({ who: owner, at }, "workload.view", "secret.list", "secret.delete", "environment.manage", "audit.read");
  });

  it("a disabled workload stops its launches, and nothing of the secrets", () => {
    const at = place({ environment: open, namespace: pipelines, workload: workload({ state: "disabled" }) });
    deny({ who: owner, at }, "workload.run", "injection.receive", "workload.deploy", "workload.edit");
    allow({ who: owner, at }, "workload.view", "workload.delete", "secret.reference");
  });

  it("reveal: nobody closes revealing to all and nothing else (C12)", () => {
    const knowing = facts([], { reveal: "nobody" });
    for (const who of [owner, admin]) {
      allow({ who, at: place({ environment: open }) }, "secret.reveal");
      deny({ who, at: place({ environment: open }), knowing }, "secret.reveal");
      allow({ who, at: place({ environment: open }), knowing }, "secret.list", "secret.write", "injection.receive");
    }
  });

  it("viewerAudit: none takes the log from viewers, and from nobody else (R41, C1)", () => {
    const scope = { environmentId: restricted.id };
    const at = place({ environment: restricted });
    const none = { viewerAudit: "none" } as const;
    allow({ who: guest, at, knowing: facts([grant("viewer", scope)]) }, "audit.read");
    deny({ who: guest, at, knowing: facts([grant("viewer", scope)], none) }, "audit.read");
    deny({ who: member, at, knowing: facts([], none) }, "audit.read");
    allow({ who: member, at, knowing: facts([], none) }, "workload.view", "injection.view");
    allow({ who: guest, at, knowing: facts([grant("operator", scope)], none) }, "audit.read");
  });
});

describe("localRun", () => {
  const local = environment("restricted", { localRun: true });
  it("lets whoever may run there take delivery there, and nobody else (C22)", () => {
    const knowing = facts([
      grant("operator", { environmentId: local.id }),
      grant("operator", { environmentId: restricted.id }),
    ]);
    allow({ who: guest, at: place({ environment: local }), knowing }, "injection.receive");
    deny({ who: guest, at: place({ environment: restricted }), knowing }, "injection.receive");
    deny({ who: member, at: place({ environment: local }) }, "injection.receive");
    deny({ who: guest, at: place({ environment: local }) }, "injection.receive");
  });
  it("gives nothing in a disabled environment", () => {
    const at = place({ environment: { ...local, state: "disabled" } });
    deny({ who: guest, at, knowing: facts([grant("operator", { environmentId: local.id })]) }, "injection.receive");
  });
});

describe("the cross-environment rule", () => {
  const test = environment("open");
  const prod = environment("restricted");
  const other = environment("restricted");
  const secret = environment("private");
  it.each([
    ["R113", open, test, true],
    ["R114, R130", test, prod, false],
    ["R115, R125, R131", prod, test, true],
    ["R116, R134", prod, other, false],
    ["R117, R124, R133", prod, prod, true],
    ["R117", secret, secret, true],
    ["R118", secret, test, true],
    ["R118", test, secret, false],
    ["R118", prod, secret, false],
    ["R118", secret, prod, false],
  ] as const)("looks at the target alone (%s)", (_, from, to, allowed) => {
    expect(mayReach(from, to)).toBe(allowed);
  });
});

describe("a decision", () => {
  it("says by which rule, and by which grant, and holds no name", () => {
    const made = grant("operator", { environmentId: restricted.id });
    const at = place({ environment: restricted, namespace: pipelines });
    expect(ask({ who: guest, at, knowing: facts([made]) }, "workload.run").because).toBe(`grant ${made.id} (operator)`);
    expect(ask({ who: member, at }, "workload.view").because).toBe("default of a mode, restricted (viewer)");
    expect(ask({ who: owner, at }, "workload.view").because).toBe("org role owner");
    for (const action of PERMISSIONS) expect(ask({ who: guest, at }, action).because).not.toMatch(/data-pipelines/);
  });
});
