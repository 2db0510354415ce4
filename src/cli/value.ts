import type { Output } from "./output.ts";
import { escapeControlsInLines } from "./text.ts";

/**
 * Puts out bytes that are asked for as they are: to a pipe exactly; to a terminal with a line end, and never a character
 * that the terminal would obey, because whoever wrote the value is not who reads it.
 */
export function showBytes(bytes: Buffer, out: Output): void {
  if (!out.isTerminal) {
    out.bytes(bytes);
    return;
  }
  const text = bytes.toString("utf8");
  const shown = escapeControlsInLines(text);
  out.bytes(Buffer.from(shown.endsWith("\n") ? shown : `${shown}\n`));
  if (shown !== text || !Buffer.from(text).equals(bytes)) {
    out.warn(
      "It holds bytes that a terminal cannot show; they are escaped here. Write it to a file to have them exactly.",
    );
  }
}
