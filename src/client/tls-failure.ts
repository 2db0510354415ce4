interface Failure {
  readonly codes: RegExp;
  readonly why: string;
  readonly remedy: string;
}

/**
 * Why a TLS connection did not come about, from the runtime's code, and what to do about it; `null` for another failure.
 * `showed`: a client certificate was shown. A vault that refuses it closes the connection without a word.
 */
export function tlsFailure(code: string, showed: boolean): Failure | null {
  if (showed && code === "ECONNRESET") return REFUSED;
  return FAILURES.find(({ codes }) => codes.test(code)) ?? null;
}

const REFUSED: Failure = {
  codes: /ALERT_(?:UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_\w+|UNSUPPORTED_CERTIFICATE|DECRYPT_ERROR)/,
  why: "it closed the connection, and most likely refused the client certificate",
  remedy: "Give one that has not expired, from the authority that the vault was told of (--client-cert, --client-key).",
};
const CLOCK = "Renew it where the vault runs (it takes the new files by itself), or set this machine's clock right.";

const FAILURES: readonly Failure[] = [
  {
    codes: /UNABLE_TO_VERIFY_LEAF|SELF_SIGNED|UNABLE_TO_GET_ISSUER|CERT_SIGNATURE_FAILURE/,
    why: "its certificate comes from an authority that this machine does not know",
    remedy: "Name the authority's certificate with --ca-file, or with NODE_EXTRA_CA_CERTS beside those that are known.",
  },
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
    codes: /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST/,
    why: "what answers there does not speak TLS",
    remedy: "Correct the port, or use http:// where the vault listens without TLS on this machine.",
  },
  {
    codes: /KEY_VALUES_MISMATCH|PEM|ASN1|NO_START_LINE|UNSUPPORTED(?!_PROTOCOL)|BAD_DECRYPT/,
    why: "a certificate or key file that was given does not hold what it should",
    remedy: "Give PEM files: the authority's certificate, the client's certificate, and its key without a passphrase.",
  },
  {
    codes: /^ERR_(?:SSL|TLS|OSSL)|^CERT_/,
    why: "no TLS connection came about",
    remedy: "Look at the vault's log, and at what stands between.",
  },
];
