import { expect, test } from "vitest";
import { SallyportError } from "../../src/client/error.ts";
import { namingWhatIsNot } from "../../src/client/problem.ts";

const refusal = (...fields: string[]) =>
  new SallyportError("not_found", undefined, {
    status: 404,
    detail: { faults: fields.map((field) => ({ field, message: "there is none" })) },
  });
const messages = (error: SallyportError) => error.detail.faults?.map(({ message }) => message);

test("what is not there is named as it was asked for, in the address, the query and the body", () => {
  const asked = {
    params: { environment: "stagin", namespace: "default" },
    query: { workload: "etl" },
    body: { to: { environment: "prd", namespace: 7 }, principal: "nobody" },
  };
  const fields = ["environment", "workload", "to.environment", "principal"];
  expect(messages(namingWhatIsNot(refusal(...fields), asked))).toEqual([
    "“stagin”: there is none",
    "“etl”: there is none",
    "“prd”: there is none",
    "“nobody”: there is none",
  ]);
});

test("nothing else of what was asked is repeated", () => {
  const asked = { body: { value: "never-shown", environment: { value: "never-shown" }, to: { namespace: 7 } } };
  const fields = ["value", "environment", "environment.value", "to.namespace", "from.environment"];
  expect(messages(namingWhatIsNot(refusal(...fields), asked))).toEqual(fields.map(() => "there is none"));
  const other = new SallyportError("invalid_input", undefined, {
    detail: { faults: [{ field: "environment", message: "no" }] },
  });
  expect(messages(namingWhatIsNot(other, { params: { environment: "stagin" } }))).toEqual(["no"]);
});
