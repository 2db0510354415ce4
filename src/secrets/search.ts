import { allOf, between, containing, noneOf, oneOf, startingWith } from "#storage";
import type { PageRequest, Reader, Row, Where } from "#storage";
import { environmentNamed, namespaceNamed } from "#access";

export interface ListFilter extends PageRequest {
  readonly prefix?: string | undefined;
  readonly state?: "active" | "deleted" | undefined;
}

export interface SearchFilter extends ListFilter {
  readonly environment?: string | undefined;
  readonly namespace?: string | undefined;
  /** Part of the name, whatever its case. */
  readonly contains?: string | undefined;
  readonly tag?: string | undefined;
  readonly owner?: string | undefined;
  /** Who wrote it last. */
  readonly author?: string | undefined;
  readonly createdBefore?: Date | undefined;
  readonly createdAfter?: Date | undefined;
  readonly updatedBefore?: Date | undefined;
  readonly updatedAfter?: Date | undefined;
  readonly usedBefore?: Date | undefined;
  readonly usedAfter?: Date | undefined;
  readonly rotateBefore?: Date | undefined;
}

export function listed({ prefix, contains, state }: ListFilter & Pick<SearchFilter, "contains">): Where<"secrets"> {
  const name = [
    ...(prefix === undefined ? [] : [startingWith(prefix)]),
    ...(contains === undefined ? [] : [containing(contains)]),
  ];
  return { state: state ?? "active", name: allOf(name) };
}

/** All of the filter as conditions of the query. A name that stands for nothing matches nothing, and says no more. */
export async function searched(reader: Reader, filter: SearchFilter): Promise<Where<"secrets">> {
  const [environments, namespaces, authors] = await Promise.all([
    environmentIds(reader, filter.environment),
    namespaceIds(reader, filter.namespace),
    authorIds(reader, filter.author),
  ]);
  const { createdAfter, createdBefore, updatedAfter, updatedBefore, usedAfter, usedBefore, rotateBefore } = filter;
  return {
    ...listed(filter),
    environmentId: oneOf(environments),
    namespaceId: namespaces === null ? undefined : oneOf(namespaces),
    updatedBy: authors === null ? undefined : oneOf(authors),
    tags: filter.tag === undefined ? undefined : containing(JSON.stringify(filter.tag)),
    owner: filter.owner,
    createdAt: between({ above: createdAfter, below: createdBefore }),
    updatedAt: between({ above: updatedAfter, below: updatedBefore }),
    lastUsedAt: between({ above: usedAfter, below: usedBefore, orNone: usedAfter === undefined }),
    rotateBy: between({ below: rotateBefore }),
  };
}

/** A deleted environment's secrets are no longer anywhere. */
async function environmentIds(reader: Reader, name: string | undefined): Promise<Row<"environments">["id"][]> {
  if (name !== undefined) return idsOf(await environmentNamed(reader, name));
  return (await reader.list("environments", { where: { state: noneOf(["deleted"]) } })).map((one) => one.id);
}

async function namespaceIds(reader: Reader, name: string | undefined): Promise<Row<"namespaces">["id"][] | null> {
  return name === undefined ? null : idsOf(await namespaceNamed(reader, name));
}

/** Whoever had the name at any time: what the deleted wrote is theirs. */
async function authorIds(reader: Reader, name: string | undefined): Promise<Row<"principals">["id"][] | null> {
  return name === undefined ? null : (await reader.list("principals", { where: { name } })).map((one) => one.id);
}

function idsOf<T>(row: { readonly id: T } | null): T[] {
  return row === null ? [] : [row.id];
}
