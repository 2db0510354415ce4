import { randomBytes } from "node:crypto";

/** Something secret that is sent everywhere and must be found nowhere, with every form it could be found in. */
export interface Canary {
  readonly name: string;
  readonly text: string;
  readonly forms: ReadonlyMap<string, Buffer>;
  /** Those of the forms that no other one stands within: where these are not, none is. */
  readonly needles: ReadonlyMap<string, Buffer>;
}

/** A value with the characters that encodings change. Its core of letters and digits survives most of them. */
export function newCanary(name: string): Canary {
  const core = `kanari${randomBytes(16).toString("hex")}`;
  return canaryOf(name, `${core}"\\/é+ü&=% <${core}>`, core);
}

/** A credential that the vault issued. Its beginning is public: kind, org and id; what follows is not. */
export function tokenCanary(name: string, token: string): Canary {
  return canaryOf(name, token, token.slice(-48));
}

/** A text that stands for itself: a password. */
export function canaryOf(name: string, text: string, core: string): Canary {
  const forms = new Map<string, Buffer>();
  for (const [word, one] of [
    ["core", core],
    ["whole", text],
  ] as const) {
    const bytes = Buffer.from(one);
    const escaped = JSON.stringify(one).slice(1, -1);
    forms.set(`${word} as it is`, bytes);
    forms.set(`${word} in upper case`, Buffer.from(one.toUpperCase()));
    forms.set(`${word} in hex`, Buffer.from(bytes.toString("hex")));
    forms.set(`${word} in upper-case hex`, Buffer.from(bytes.toString("hex").toUpperCase()));
    forms.set(`${word} in a URL`, Buffer.from(encodeURIComponent(one)));
    forms.set(
      `${word} in a URL, lower case`,
      Buffer.from(encodeURIComponent(one).replace(/%../g, (code) => code.toLowerCase())),
    );
    forms.set(`${word} in a form`, Buffer.from(encodeURIComponent(one).replaceAll("%20", "+")));
    forms.set(`${word} in JSON`, Buffer.from(escaped));
    forms.set(`${word} in JSON, ASCII only`, Buffer.from(asciiOnly(escaped)));
    forms.set(`${word} in UTF-16`, Buffer.from(one, "utf16le"));
    for (const shift of [0, 1, 2]) {
      forms.set(`${word} in base64, shifted by ${String(shift)}`, Buffer.from(base64Of(bytes, shift)));
      forms.set(`${word} in base64url, shifted by ${String(shift)}`, Buffer.from(urlSafe(base64Of(bytes, shift))));
    }
  }
  return { name, text, forms, needles: leastOf(forms) };
}

/** Which canaries stand in these bytes, and how. */
export function findIn(bytes: Buffer, canaries: readonly Canary[]): string[] {
  return canaries.flatMap((canary) => {
    const form = [...canary.needles].find(([, form]) => bytes.includes(form));
    return form === undefined ? [] : [`${canary.name} (${form[0]})`];
  });
}

function leastOf(forms: ReadonlyMap<string, Buffer>): ReadonlyMap<string, Buffer> {
  const all = [...forms];
  const isLeast = ([, form]: (typeof all)[number], at: number): boolean =>
    all.every(([, other], place) => (other.equals(form) ? place >= at : !form.includes(other)));
  return new Map(all.filter(isLeast));
}

function asciiOnly(text: string): string {
  return text.replace(/[\u0080-\uffff]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** The letters of base64 that come of these bytes alone, when so many others stand before them. */
function base64Of(bytes: Buffer, shift: number): string {
  const text = Buffer.concat([Buffer.alloc(shift), bytes])
    .toString("base64")
    .replace(/=+$/, "");
  const whole = Math.floor(((bytes.length + shift) * 8) / 6);
  return text.slice(Math.ceil((shift * 8) / 6), whole);
}

function urlSafe(text: string): string {
  return text.replaceAll("+", "-").replaceAll("/", "_");
}
