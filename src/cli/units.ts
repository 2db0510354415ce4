/** Where the program is and what it is asked to do: parts of the units that `sallyport systemd` prints. */
export interface UnitPlace {
  /** The runtime, then the program: what `ExecStart=` begins with. */
  readonly program: readonly string[];
}

export interface RunnerUnit extends UnitPlace {
  readonly workload: string;
  readonly environment: string;
  readonly address: string;
  readonly credentialFile: string;
  readonly command: readonly string[];
}

const PRINTED = "# Printed by `sallyport systemd`. For systemd 247 or later, so for Linux only.";

/** What holds for every program that needs nothing of its machine but the network and its own folder. */
const HARDENED = `NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
UMask=0077
# No plaintext on a disk by way of a core dump or of swap.
LimitCORE=0
MemorySwapMax=0
# Not MemoryDenyWriteExecute=yes: the runtime compiles to machine code while it runs, and would not start.`;

/** The vault. Its sockets come from the socket unit, so that clients wait while it restarts and lose nothing. */
export function serverUnit({ program }: UnitPlace): string {
  return `${PRINTED}
# /etc/systemd/system/sallyport.service, beside sallyport.socket.
[Unit]
Description=Sallyport, a secrets vault
Requires=sallyport.socket
After=sallyport.socket network.target

[Service]
Type=notify
# It is told by systemd-notify, which is a process of its own.
NotifyAccess=all
ExecStart=${commandLine([...program, "up"])}
# Reads the certificate's files again.
ExecReload=/bin/kill -HUP $MAINPID
WatchdogSec=60
TimeoutStartSec=300
# More than drainDelaySeconds and drainSeconds together.
TimeoutStopSec=60
Restart=on-failure
RestartSec=1
# What a person has to put right: a setting, a key file, a database of another version or put back.
RestartPreventExitStatus=20 21 22 23 25 26

User=sallyport
Group=sallyport
StateDirectory=sallyport sallyport/data sallyport/keys
StateDirectoryMode=0700
WorkingDirectory=/var/lib/sallyport
Environment=NODE_ENV=production SALLYPORT_DATA=/var/lib/sallyport/data SALLYPORT_KEYS=/var/lib/sallyport/keys
# More settings as SALLYPORT_... lines, or all of them in /var/lib/sallyport/sallyport.yaml.
EnvironmentFile=-/etc/sallyport/sallyport.env
# TLS with files that only root can read. A renewed certificate then needs a restart, which nobody notices.
#LoadCredential=tls.crt:/etc/letsencrypt/live/vault.example.com/fullchain.pem
#LoadCredential=tls.key:/etc/letsencrypt/live/vault.example.com/privkey.pem
#Environment=SALLYPORT_TLS_CERTIFICATE=%d/tls.crt SALLYPORT_TLS_KEY=%d/tls.key
LimitNOFILE=65536

${HARDENED}

[Install]
WantedBy=multi-user.target
Also=sallyport.socket
`;
}

/** The address that stays open. `listen` is `host:port`. */
export function socketUnit(listen: string): string {
  return `${PRINTED}
# /etc/systemd/system/sallyport.socket. What stands here counts, and not the setting "listen".
[Unit]
Description=The address of Sallyport, open also while it restarts

[Socket]
ListenStream=${listen}
Backlog=4096
NoDelay=yes

[Install]
WantedBy=sockets.target
`;
}

/** A program that gets its variables from the vault at each start, by a service user's token that only root can read. */
export function runnerUnit(unit: RunnerUnit): string {
  const { program, workload, environment, address, credentialFile, command } = unit;
  const run = ["run", "--address", address, "--workload", workload, "--env", environment];
  const start = `${commandLine([...program, ...run])} --credential-file %d/vault -- ${commandLine(command)}`;
  return `${PRINTED}
# The token is root's alone (chmod 600 ${escaped(credentialFile)}): systemd shows it to this service, and to nothing else.
[Unit]
Description=${escaped(workload)} in ${escaped(environment)}, with its variables from Sallyport
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
LoadCredential=vault:${escaped(credentialFile)}
ExecStart=${start}
Restart=on-failure
RestartSec=5
DynamicUser=yes
NoNewPrivileges=yes
ProtectHome=yes
PrivateDevices=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes
UMask=0077
LimitCORE=0

[Install]
WantedBy=multi-user.target
`;
}

/** Words as systemd.service(5) reads them: quoted, and without specifiers or variables of its own. */
function commandLine(words: readonly string[]): string {
  return words.map(quoted).join(" ");
}

function quoted(word: string): string {
  const text = escaped(word).replaceAll("$", "$$$$");
  return /^[\w@%+=:,./$-]+$/.test(text) ? text : `"${text.replaceAll(/["\\]/g, "\\$&")}"`;
}

function escaped(text: string): string {
  return text.replaceAll("%", "%%");
}
