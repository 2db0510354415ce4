import { realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";

/** What a service that is closed as ours are sees empty (systemd.exec(5)). DynamicUser=yes implies both. */
const HIDDEN = [
  { by: "ProtectHome=yes", folders: ["/home", "/root", "/run/user"] },
  { by: "PrivateTmp=yes", folders: ["/tmp", "/var/tmp"] },
] as const;

const OTHERS_READ_OR_RUN = 0o005;
const OTHERS_PASS = 0o001;

/**
 * Why a service of another user could not start what lies there, in a sentence; `null` where nothing speaks against it. What
 * is not there is not judged: a unit may be printed for another machine.
 *
 * @param modeOf the permission bits of a path, `null` where there is none; given by tests.
 */
export function outOfReach(path: string, modeOf: (path: string) => number | null = permissions): string | null {
  for (const one of new Set([path, real(path)])) {
    const hidden = HIDDEN.find(({ folders }) => folders.some((folder) => one.startsWith(`${folder}/`)));
    if (hidden !== undefined) return `${one} lies where the unit, by ${hidden.by}, sees nothing`;
    for (let at = one, needed = OTHERS_READ_OR_RUN; ; at = dirname(at), needed = OTHERS_PASS) {
      const mode = modeOf(at);
      if (mode !== null && (mode & needed) === 0) return `${at} is closed to other users (mode ${mode.toString(8)})`;
      if (at === dirname(at)) break;
    }
  }
  return null;
}

function real(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function permissions(path: string): number | null {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? null : stat.mode & 0o777;
}
