import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";

/** The browser of this machine, where there is one. */
export const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) =>
  existsSync(path),
);

const LONGEST_MS = 60_000;

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

/**
 * One page of a real browser, without a window. It is spoken to in the Chrome DevTools Protocol over two pipes (descriptors 3
 * and 4): one JSON object a message, each ended by a zero byte.
 */
export class Page {
  /** What the page, or the browser about the page, wrote on its console that is a warning or worse: also what a policy stopped. */
  readonly complaints: string[] = [];
  readonly #child: ChildProcess;
  readonly #profile: string;
  readonly #waiting = new Map<number, (message: Message) => void>();
  #session: string | null = null;
  #last = 0;

  private constructor(child: ChildProcess, profile: string) {
    this.#child = child;
    this.#profile = profile;
    let rest = "";
    (child.stdio[4] as Readable).setEncoding("utf8").on("data", (part: string) => {
      const messages = `${rest}${part}`.split("\0");
      rest = messages.pop() ?? "";
      for (const message of messages) this.#take(JSON.parse(message) as Message);
    });
  }

  static async open(url: string): Promise<Page> {
    const profile = mkdtempSync(join(tmpdir(), "sallyport-browser-"));
    const options = [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--remote-debugging-pipe",
      "--window-size=1200,1600",
    ];
    const child = spawn(CHROMIUM ?? "", [...options, `--user-data-dir=${profile}`, "about:blank"], {
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
    });
    const page = new Page(child, profile);
    const { targetId } = await page.#ask("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await page.#ask("Target.attachToTarget", { targetId, flatten: true });
    page.#session = String(sessionId);
    for (const domain of ["Page", "Runtime", "Log"]) await page.#ask(`${domain}.enable`);
    await page.#ask("Page.navigate", { url });
    return page;
  }

  /** What a JavaScript expression is in the page; it has to be JSON. */
  async value(expression: string): Promise<unknown> {
    const { result, exceptionDetails } = await this.#ask("Runtime.evaluate", { expression, returnByValue: true });
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
    return (result as { value?: unknown }).value;
  }

  /** Clicks on an element where it is seen, as a hand would, once it is there. */
  async click(selector: string): Promise<void> {
    const { x, y } = await this.#place(selector);
    for (const type of ["mousePressed", "mouseReleased"])
      await this.#ask("Input.dispatchMouseEvent", { type, x, y, button: "left", clickCount: 1 });
  }

  /** Types into a field, once it is there. */
  async type(selector: string, text: string): Promise<void> {
    await this.click(selector);
    await this.#ask("Input.insertText", { text });
  }

  /** The text of an element, once it is there. */
  async text(selector: string): Promise<string> {
    await this.#place(selector);
    return String(await this.value(`document.querySelector(${JSON.stringify(selector)}).textContent`));
  }

  /** A picture of what is seen, PNG. */
  async picture(): Promise<Buffer> {
    const { data } = await this.#ask("Page.captureScreenshot", { format: "png" });
    return Buffer.from(String(data), "base64");
  }

  async close(): Promise<void> {
    const over = new Promise((resolve) => this.#child.once("close", resolve));
    // In order: killed, its other processes would go on writing into the folder that is taken away.
    this.#session = null;
    this.#ask("Browser.close").catch(() => undefined);
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), LONGEST_MS);
    await over;
    clearTimeout(timer);
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 10 });
  }

  async #place(selector: string): Promise<{ x: number; y: number }> {
    const find = `(() => {
      const found = document.querySelector(${JSON.stringify(selector)});
      found?.scrollIntoView({ block: "center" });
      const box = found?.getBoundingClientRect();
      return box === undefined || box.width === 0 ? null : { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    })()`;
    const end = performance.now() + LONGEST_MS;
    while (performance.now() < end) {
      const place = (await this.value(find)) as { x: number; y: number } | null;
      if (place !== null) return place;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`the page never showed ${selector}`);
  }

  #ask(method: string, params: object = {}): Promise<Record<string, unknown>> {
    const id = (this.#last += 1);
    const session = this.#session === null ? {} : { sessionId: this.#session };
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ result = {}, error }) => {
        if (error === undefined) resolve(result);
        else reject(new Error(`${method}: ${error.message}`));
      });
      (this.#child.stdio[3] as Writable).write(`${JSON.stringify({ id, method, params, ...session })}\0`);
    });
  }

  #take(message: Message): void {
    if (message.id !== undefined) {
      this.#waiting.get(message.id)?.(message);
      this.#waiting.delete(message.id);
      return;
    }
    const { method = "", params = {} } = message;
    if (method === "Runtime.exceptionThrown") this.complaints.push(JSON.stringify(params.exceptionDetails));
    if (method === "Runtime.consoleAPICalled" && ["error", "warning", "assert"].includes(String(params.type)))
      this.complaints.push(JSON.stringify(params.args));
    const { level, text } = (params.entry ?? {}) as { level?: string; text?: string };
    if (method === "Log.entryAdded" && (level === "error" || level === "warning")) this.complaints.push(text ?? "");
  }
}
