/**
 * One of the processes of the drill `once`: tries to exchange the tokens it is sent, several at a time, and reports what
 * came of each. It ends with its parent.
 */
import { Knocker } from "./knock.ts";

export interface Order {
  readonly url: string;
  readonly tokens: readonly string[];
  readonly atOnce: number;
}
export interface Outcome {
  /** Places in `tokens` that were granted. */
  readonly granted: readonly number[];
  /** How often each other answer came, by code; `lost` for none. */
  readonly refused: Readonly<Record<string, number>>;
}

process.on("disconnect", () => process.exit(1));
process.once("message", (message) => {
  void work(message as Order).then((outcome) => {
    process.send?.(outcome, () => {
      process.disconnect();
    });
  });
});

async function work({ url, tokens, atOnce }: Order): Promise<Outcome> {
  const knocker = new Knocker(url, atOnce);
  const granted: number[] = [];
  const refused: Record<string, number> = {};
  let next = 0;
  const one = async (): Promise<void> => {
    for (let at = next++; at < tokens.length; at = next++) {
      const answer = await knocker.ask("POST", "/v1/exchange", tokens[at] ?? "");
      if (answer?.status === 200) granted.push(at);
      else {
        const code = answer === null ? "lost" : String(answer.body.code);
        refused[code] = (refused[code] ?? 0) + 1;
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
  knocker.close();
  return { granted, refused };
}
