import { Redacted } from "#base";
import type { RequestHeaders, Response } from "#contract";
import { encodeValue } from "#injection";
import type { Compared, LastUse, SecretView, WriteConditions } from "#secrets";

import type { Handlers } from "../operation.ts";
import { Reply } from "../reply.ts";
import type { Rooms } from "./rooms.ts";
import { isoOf, pageOf } from "./shape.ts";

type SecretHandlers = Pick<
  Handlers,
  | "secret.search"
  | "secret.list"
  | "secret.bulk"
  | "secret.copy"
  | "secret.compare"
  | "secret.write"
  | "secret.generate"
  | "secret.uses"
  | "secret.get"
  | "secret.update"
  | "secret.policy"
  | "secret.versions"
  | "secret.reveal"
  | "secret.rollback"
  | "secret.delete"
  | "secret.restore"
  | "secret.destroy"
>;

/** Secrets. A value comes in by `secret.write` and `secret.bulk` and goes out by `secret.reveal`, nowhere else. */
export function secretRoutes({
  secrets,
  versions,
  destruction,
  bulk,
  copies,
  comparison,
  uses,
}: Rooms): SecretHandlers {
  return {
    "secret.search": async ({ caller, query }) => pageOf(await secrets.search(caller, query), shapeSecret),
    "secret.list": async ({ caller, params, query }) => pageOf(await secrets.list(caller, params, query), shapeSecret),
    "secret.get": async ({ caller, params }) => withVersion(shapeSecret(await secrets.get(caller, params))),
    "secret.write": async ({ caller, params, body, headers }) => {
      const { value, encoding, ...metadata } = body;
      return writtenOf(await versions.write(caller, params, bytesOf(value, encoding), metadata, conditionsOf(headers)));
    },
    "secret.generate": async ({ caller, params, body, headers }) => {
      const { kind, length, ...metadata } = body;
      return writtenOf(await versions.generate(caller, params, { kind, length }, metadata, conditionsOf(headers)));
    },
    "secret.bulk": async ({ caller, params, body }) => {
      const preview = body.preview ?? false;
      const items = body.secrets.map(({ name, value, encoding, ifVersion, ...metadata }) => ({
        name,
        value: value === undefined ? undefined : bytesOf(value, encoding),
        ifVersion,
        metadata,
      }));
      return { preview, items: await bulk.write(caller, params, items, preview) };
    },
    "secret.copy": async ({ caller, body }) => ({
      preview: body.preview ?? false,
      items: (await copies.copy(caller, body)).map((item) => ({ ...item, usedBy: [...item.usedBy] })),
    }),
    "secret.compare": async ({ caller, body }) => {
      const valuesCompared = body.values === true;
      const compared = await comparison.compare(
        caller,
        body.from,
        body.to,
        valuesCompared ? (body.reason ?? "") : null,
      );
      return {
        valuesCompared,
        items: compared.map((one) => ({ ...one, from: shapeSide(one.from), to: shapeSide(one.to) })),
      };
    },
    "secret.uses": async ({ caller, params }) => {
      const { references, hidden, launches, lastUsed } = await uses.list(caller, params);
      return {
        references: references.map((one) => ({ ...one, variables: [...one.variables] })),
        hidden,
        launches,
        lastUsed: shapeLastUse(lastUsed),
      };
    },
    "secret.update": async ({ caller, params, body, headers }) =>
      withVersion(shapeSecret(await secrets.update(caller, params, body, headers.ifMatch))),
    "secret.policy": async ({ caller, params, body }) => shapeSecret(await secrets.setPolicy(caller, params, body)),
    "secret.versions": async ({ caller, params }) => ({
      items: (await versions.list(caller, params)).map((one) => ({ ...one, createdAt: isoOf(one.createdAt) })),
    }),
    "secret.reveal": async ({ caller, params, body }) => {
      const { name, version, value } = await versions.reveal(caller, params, body.reason, body.version);
      return { name, version, ...encodeValue(value) };
    },
    "secret.rollback": async ({ caller, params, body, headers }) =>
      withVersion(shapeSecret(await versions.rollback(caller, params, body.version, headers.ifMatch))),
    "secret.delete": async ({ caller, params, headers }) =>
      secrets.delete(caller, params, headers.ifMatch) as Promise<undefined>,
    "secret.restore": async ({ caller, params }) => withVersion(shapeSecret(await secrets.restore(caller, params))),
    "secret.destroy": async ({ caller, params, body }) =>
      destruction.destroy(caller, params, body.versions) as Promise<undefined>,
  };
}

/** The contract has made sure that base64 is base64. */
function bytesOf(value: string, encoding: "utf8" | "base64" | undefined): Redacted<Buffer> {
  return new Redacted(Buffer.from(value, encoding ?? "utf8"));
}

function conditionsOf(headers: RequestHeaders): WriteConditions {
  return { ifMatch: headers.ifMatch, ifNoneMatch: headers.ifNoneMatch === "*" };
}

function writtenOf({
  created,
  changed,
  ...view
}: SecretView & { created: boolean; changed: boolean }): Reply<Response<"secret.write">> {
  return Reply.json({ ...shapeSecret(view), created, changed }, { version: view.version });
}

function shapeSide(side: Compared["from"]): { version: number; updatedAt: string } | null {
  return side === null ? null : { version: side.version, updatedAt: isoOf(side.updatedAt) };
}

function shapeLastUse(use: LastUse | null): Response<"secret.get">["lastUsed"] {
  return use === null ? null : { ...use, at: isoOf(use.at) };
}

function withVersion(body: Response<"secret.get">): Reply<Response<"secret.get">> {
  return Reply.json(body, { version: body.version });
}

function shapeSecret(view: SecretView): Response<"secret.get"> {
  return {
    ...view,
    tags: [...view.tags],
    policy:
      view.policy === null
        ? null
        : {
            namespaces: [...view.policy.namespaces],
            workloads: [...view.policy.workloads],
            roles: [...view.policy.roles],
          },
    rotateBy: isoOf(view.rotateBy),
    createdAt: isoOf(view.createdAt),
    updatedAt: isoOf(view.updatedAt),
    deletedAt: isoOf(view.deletedAt),
    restorableUntil: isoOf(view.restorableUntil),
    lastUsed: shapeLastUse(view.lastUsed),
  };
}
