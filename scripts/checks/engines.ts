const ENGINES = ["sqlite", "postgres"] as const;

export type EngineName = (typeof ENGINES)[number];

/** ENGINES=sqlite,postgres: the engines that the tests run on; both, unless said. */
export function testedEngines(named: string | undefined = process.env.ENGINES): readonly EngineName[] {
  if (named === undefined) return ENGINES;
  return named.split(",").map((word) => {
    const engine = ENGINES.find((one) => one === word.trim());
    if (engine === undefined)
      throw new Error(`ENGINES names "${word}", which is none of ${ENGINES.join(", ")}: list them with commas`);
    return engine;
  });
}
