/**
 * The formats in which an exchange answers, and the media type of each. `text/plain` and `application/yaml` stand for more
 * than one: the query's `format` says which is meant, and an Accept header means the first.
 */
export const EXCHANGE_FORMATS = {
  json: "application/json",
  dotenv: "text/plain; charset=utf-8",
  // It may hold bytes that are no text.
  shell: "application/octet-stream",
  docker: "text/plain; charset=utf-8",
  systemd: "text/plain; charset=utf-8",
  yaml: "application/yaml",
  kubernetes: "application/yaml",
  toml: "application/toml",
  properties: "text/plain; charset=utf-8",
  tfvars: "text/plain; charset=utf-8",
} as const;

export type ExchangeFormat = keyof typeof EXCHANGE_FORMATS;

/** All of them, in the order in which they are told. */
export const FORMAT_NAMES = Object.keys(EXCHANGE_FORMATS) as [ExchangeFormat, ...ExchangeFormat[]];
