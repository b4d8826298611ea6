/** PostgreSQL as a child process. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { CannotRun } from "../../cannot-run.ts";
import { postgresSettings, type Settings } from "../settings.ts";
import type { User } from "./run.ts";

export const postgresUser = "postgres";

/**
 * The user PostgreSQL runs as: root hands it to `nobody`, because the server refuses root and needs a user that
 * the system knows; everybody else runs it as themselves (undefined).
 */
export function serverUser(): User | undefined {
  if (process.getuid?.() !== 0) return undefined;
  try {
    // On macOS nobody is -2, which `id` prints as a large unsigned number.
    const id = (flag: string): number =>
      Number(execFileSync("id", [flag, "nobody"], { encoding: "utf8" })) | 0;
    return { uid: id("-u"), gid: id("-g") };
  } catch {
    throw new CannotRun("PostgreSQL refuses to run as root, and this system has no user nobody", [
      "run as an ordinary user",
    ]);
  }
}

/**
 * initdb's arguments. Password authentication also on the loopback: with trust, any user of the machine could
 * become the database's superuser, who may run programs as whoever owns the server.
 */
export const initdbArguments = (dataFolder: string, passwordFile: string): string[] => [
  `--pgdata=${dataFolder}`,
  `--username=${postgresUser}`,
  `--pwfile=${passwordFile}`,
  "--auth=scram-sha-256",
  "--encoding=UTF8",
  "--locale=C",
  "--no-sync",
  "--no-instructions",
];

export const postgresFile = (home: string): string => join(home, "bin", "postgres");

/** @param benchmark room for minutes of load: no checkpoint in the middle of a drain, its table in memory */
export function postgresArguments(dataFolder: string, port: number, benchmark = false): string[] {
  const settings: Settings = {
    listen_addresses: "127.0.0.1",
    port,
    unix_socket_directories: "",
    huge_pages: "off",
    log_line_prefix: "%m [%p] ",
    ...postgresSettings,
    ...(benchmark ? { shared_buffers: "512MB", max_wal_size: "4GB" } : {}),
  };
  return [
    "-D",
    dataFolder,
    ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
  ];
}
