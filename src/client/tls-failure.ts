interface Failure {
  readonly codes: RegExp;
  readonly why: string;
  readonly remedy: string;
}

/** What was given for the connection. */
export interface TlsFiles {
  /** A client certificate was shown. */
  readonly showed: boolean;
  /** An authority was named, and so no other is trusted. */
  readonly named: boolean;
}

/**
 * Why a TLS connection did not come about, from the runtime's code, and what to do about it; `null` for another failure.
 * A vault that refuses the client certificate that was shown closes the connection without a word.
 */
export function tlsFailure(code: string, { showed, named }: TlsFiles): Failure | null {
  if (named && UNKNOWN.codes.test(code)) return ANOTHER;
  if (showed && code === "ECONNRESET") return REFUSED;
  return FAILURES.find(({ codes }) => codes.test(code)) ?? null;
}

const REFUSED: Failure = {
  codes: /ALERT_(?:UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_\w+|UNSUPPORTED_CERTIFICATE|DECRYPT_ERROR)/,
  why: "it closed the connection, and most likely refused the client certificate",
  remedy: "Give one that has not expired, from the authority that the vault was told of (--client-cert, --client-key).",
};
const CLOCK = "Renew it where the vault runs (it takes the new files by itself), or set this machine's clock right.";

const UNKNOWN: Failure = {
  codes: /UNABLE_TO_VERIFY_LEAF|SELF_SIGNED|UNABLE_TO_GET_ISSUER|CERT_SIGNATURE_FAILURE/,
  why: "its certificate comes from an authority that this machine does not know",
  remedy: "Name the authority's certificate with --ca-file, or with NODE_EXTRA_CA_CERTS beside those that are known.",
};
const ANOTHER: Failure = {
  codes: UNKNOWN.codes,
  why: "its certificate comes from another authority than the one that was named",
  remedy: "Name the one that signed it (--ca-file, SALLYPORT_CA_FILE), or none if it is one that everybody knows.",
};

const FAILURES: readonly Failure[] = [
  UNKNOWN,
  {
    codes: /ALTNAME_INVALID/,
    why: "its certificate is for another name",
    remedy:
      "Use a name in the address that the certificate holds. If that is the address, something else answers there.",
  },
  { codes: /CERT_HAS_EXPIRED/, why: "its certificate has expired", remedy: CLOCK },
  { codes: /CERT_NOT_YET_VALID/, why: "its certificate is not valid yet", remedy: CLOCK },
  {
    codes: /ALERT_(?:CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE)/,
    why: "it wants a client certificate, or speaks no TLS that we speak",
    remedy: "Give a certificate with --client-cert and --client-key.",
  },
  REFUSED,
  {
    codes: /^EPROTO$|WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST/,
    why: "what answers there does not speak TLS",
    remedy: "Correct the port, or use http:// where the vault listens without TLS on this machine.",
  },
  {
    codes: /KEY_VALUES_MISMATCH|KEY_TYPE_MISMATCH/,
    why: "the client's key is not the key of its certificate",
    remedy: "Give the two that belong together with --client-cert and --client-key.",
  },
  {
    codes: /PEM|ASN1|NO_START_LINE|UNSUPPORTED(?!_PROTOCOL)|BAD_DECRYPT/,
    why: "a certificate or key file that was given does not hold what it should",
    remedy: "Give PEM files: the authority's certificate, the client's certificate, and its key without a passphrase.",
  },
  {
    codes: /^ERR_(?:SSL|TLS|OSSL)|^CERT_/,
    why: "no TLS connection came about",
    remedy: "Look at the vault's log, and at what stands between.",
  },
];
