/**
 * The environment variables of the command line itself, and of the client library. All others that begin with `SALLYPORT_` are settings of the vault,
 * and `up` refuses what is neither: a misspelt setting must not go unnoticed.
 */
export const CLI_VARIABLES = [
  "SALLYPORT_ADDRESS",
  "SALLYPORT_SOCKET",
  "SALLYPORT_PROFILE",
  "SALLYPORT_CA_FILE",
  "SALLYPORT_CLIENT_CERT",
  "SALLYPORT_CLIENT_KEY",
  "SALLYPORT_TOKEN",
  "SALLYPORT_TOKEN_ID",
  "SALLYPORT_TOKEN_SECRET",
  "SALLYPORT_TOKEN_FILE",
  "SALLYPORT_CREDENTIAL_FILE",
  "SALLYPORT_RUNNER_FILE",
  "SALLYPORT_ENVIRONMENT",
  "SALLYPORT_NAMESPACE",
  "SALLYPORT_WORKLOAD",
  "SALLYPORT_NO_WARN",
  "SALLYPORT_NO_KEYRING",
] as const;
