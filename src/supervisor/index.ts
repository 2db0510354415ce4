/**
 * supervisor: what the process and the program that supervises it say to each other.
 *
 * Sockets that it hands over at a start, so that they stay open while the vault restarts (sd_listen_fds(3)); and what it is
 * told: ready, stopping, alive (sd_notify(3)). Where there is no such program, nothing happens. Linux and systemd; others
 * that speak the same two protocols do as well.
 */
export { inheritedSockets } from "./inherited-sockets.ts";
export { Supervisor } from "./supervisor.ts";
export type { Note } from "./supervisor.ts";
