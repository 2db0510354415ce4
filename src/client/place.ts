import { lstatSync } from "node:fs";
import { dirname, join } from "node:path";
import { isLoopback } from "#base";
import { usage } from "./error.ts";

/** How a vault is reached. */
export type Place = { readonly kind: "url"; readonly url: URL } | { readonly kind: "socket"; readonly path: string };

/** Where `sallyport up` listens unless told otherwise. */
export const DEFAULT_ADDRESS = "http://127.0.0.1:7433";
const SOCKET_IN_FOLDER = join("data", "sallyport.sock");

/** As a person would write it. */
export function describePlace(place: Place): string {
  return place.kind === "socket" ? place.path : place.url.href.replace(/\/$/, "");
}

/**
 * An address as a URL. What travels is credentials and values, so it is https, or http to this machine; any other http
 * only where the caller said that it is meant.
 */
export function parseAddress(text: string, insecurePlainHttp: boolean): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  const isHttp = url?.protocol === "http:";
  if (url === null || (!isHttp && url.protocol !== "https:") || url.search !== "" || url.hash !== "") {
    throw usage(`“${text}” is not an address like https://vault.example.com or ${DEFAULT_ADDRESS}.`);
  }
  if (url.username !== "" || url.password !== "")
    throw usage("An address holds no credential.", "Sign in with `sallyport login`, or name a file that holds one.");
  if (isHttp && !isLoopback(url.hostname) && !insecurePlainHttp) {
    throw usage(
      `${url.origin} is plain HTTP to another machine: credentials and values could be read on the way.`,
      "Use https, or say --insecure-plain-http (`insecurePlainHttp` in a program) if something else protects the way.",
    );
  }
  return url;
}

/**
 * The socket of the vault that this user, or root, runs in this folder or one above. Whoever answers on it is sent values
 * without further proof, so nobody else may be able to have made it or to open it.
 */
export function findSocket(folder: string): string | null {
  const user = process.getuid?.();
  if (user === undefined) return null;
  for (let here = folder; ; here = dirname(here)) {
    const path = join(here, SOCKET_IN_FOLDER);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat?.isSocket() === true && (stat.uid === user || stat.uid === 0) && (stat.mode & 0o077) === 0) return path;
    if (here === dirname(here)) return null;
  }
}
