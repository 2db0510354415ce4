import { DAY, HOUR, MINUTE } from "#base";

/** A session ends after this long without a request, */
export const SESSION_IDLE_MS = 30 * MINUTE;
/** and after this long whatever happens. */
export const SESSION_LONGEST_MS = 12 * HOUR;
/** Set-up credentials and invitations. */
export const SET_UP_MS = 3 * DAY;
/** How often "last seen" and "last used" are written. */
export const SEEN_EVERY_MS = MINUTE;
