/** How a manifest names a secret. What is left out is the launch's own environment and the workload's own namespace. */
export interface Reference {
  readonly environment: string | null;
  readonly namespace: string | null;
  readonly name: string;
  readonly version: number | null;
}

const PART = "[a-z0-9][a-z0-9_-]{0,62}";
const REFERENCE = new RegExp(`^(?:(?:(${PART})/)?(${PART})/)?([A-Za-z_][A-Za-z0-9_]{0,127})(?:@([1-9]\\d{0,9}))?$`);

/** `NAME`, `namespace/NAME`, `environment/namespace/NAME`, each with `@version` if pinned; `null` for anything else. */
export function parseReference(text: string): Reference | null {
  const match = REFERENCE.exec(text);
  if (match === null) return null;
  const [, environment, namespace, name = "", version] = match;
  return {
    environment: environment ?? null,
    namespace: namespace ?? null,
    name,
    version: version === undefined ? null : Number(version),
  };
}

/** A part of a template: text as it stands, or the value of a reference. */
export type TemplatePart = { readonly text: string } | { readonly reference: string };

/**
 * `postgres://${DB_USER}:${DB_PASS}@db/app` as parts. `$$` is a dollar sign, and so is a `$` before anything but a brace.
 * `null` when a brace is not closed or does not hold a reference.
 */
export function parseTemplate(template: string): readonly TemplatePart[] | null {
  const parts: TemplatePart[] = [];
  let text = "";
  for (let at = 0; at < template.length; at += 1) {
    const two = template.slice(at, at + 2);
    if (two === "$$") {
      text += "$";
      at += 1;
    } else if (two === "${") {
      const end = template.indexOf("}", at);
      const reference = end < 0 ? "" : template.slice(at + 2, end);
      if (parseReference(reference) === null) return null;
      if (text !== "") parts.push({ text });
      parts.push({ reference });
      text = "";
      at = end;
    } else text += template.charAt(at);
  }
  if (text !== "") parts.push({ text });
  return parts;
}
