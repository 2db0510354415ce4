import type { Noun } from "../command.ts";
import { call, list } from "../operation.ts";
import { DESCRIPTION, YES } from "../options.ts";
import { formatTime } from "../text.ts";

export const ns: Noun = {
  name: "ns",
  summary: "Namespaces: functional areas, the same in every environment",
  commands: [
    list({
      name: "list",
      summary: "Namespaces that you can see",
      examples: ["sallyport ns list"],
      operation: "namespace.list",
      ask: () => ({}),
      columns: {
        name: (namespace) => namespace.name,
        created: (namespace) => formatTime(namespace.createdAt),
        description: (namespace) => namespace.description,
      },
      empty: "Nothing here yet: no namespace that you can see. Make one: sallyport ns create payments",
    }),
    call({
      name: "create",
      summary: "Create a namespace, in every environment",
      arguments: [["<name>", "the namespace"]],
      options: [DESCRIPTION],
      examples: ['sallyport ns create payments --description "what moves money"'],
      operation: "namespace.create",
      ask(_, given) {
        const description = given.text("description");
        return { body: { name: given.argument(0), ...(description === undefined ? {} : { description }) } };
      },
      show: (answer, out) => out.line(`Namespace ${answer.name} was created.`),
    }),
    call({
      name: "delete",
      summary: "Delete an empty namespace",
      arguments: [["<name>", "the namespace"]],
      options: [YES],
      examples: ["sallyport ns delete payments"],
      operation: "namespace.delete",
      confirm: (given) => `Delete namespace ${given.argument(0)}?`,
      ask: (_, given) => ({ params: { namespace: given.argument(0) } }),
      show: (_, out, given) => out.line(`Namespace ${given.argument(0)} was deleted.`),
    }),
  ],
};
