import { request } from "node:http";
import { join } from "node:path";

/** What a vault that runs answers at its machine's socket. */
export interface RunningVault {
  readonly ready: boolean;
  /** What each part says of itself. */
  readonly checks: Readonly<Record<string, string>>;
  /** The vault's time, by the second. */
  readonly date: Date | null;
  /** How long it took to answer. */
  readonly ms: number;
}

const PATIENCE_MS = 3_000;

/** Asks the vault of this data folder how it is, without a credential; `null` where none answers. */
export function findRunning(dataFolder: string): Promise<RunningVault | null> {
  const began = performance.now();
  return new Promise((resolve) => {
    const asked = request(
      { socketPath: join(dataFolder, "sallyport.sock"), path: "/readyz", agent: false, timeout: PATIENCE_MS },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", () => resolve(null));
        response.on("end", () => {
          const date = new Date(response.headers.date ?? "");
          resolve({
            ready: response.statusCode === 200,
            checks: checksOf(Buffer.concat(chunks).toString()),
            date: Number.isNaN(date.getTime()) ? null : date,
            ms: performance.now() - began,
          });
        });
      },
    );
    asked.on("timeout", () => asked.destroy());
    asked.on("error", () => resolve(null));
    asked.end();
  });
}

function checksOf(body: string): Readonly<Record<string, string>> {
  try {
    const { checks } = JSON.parse(body) as { checks?: unknown };
    if (typeof checks !== "object" || checks === null) return {};
    return Object.fromEntries(Object.entries(checks).map(([name, word]) => [name, String(word)]));
  } catch {
    return {};
  }
}
