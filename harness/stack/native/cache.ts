/** The one folder below which the native stack writes: downloads, templates, and the folder of each run. */
import { accessSync, constants, statSync } from "node:fs";
import { chmod, mkdir, statfs } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { CannotRun } from "../../cannot-run.ts";

/**
 * Where the cache is: `SLUICE_CACHE`; else the platform's place for caches.
 *
 * PostgreSQL refuses to run as root, so root runs it as `nobody`, who must be able to enter the folder. Root's
 * home is usually closed to others, and then the system's cache folder is taken instead of root's own.
 */
export function cacheFolder(env: NodeJS.ProcessEnv, asRoot = process.getuid?.() === 0): string {
  const chosen = env.SLUICE_CACHE;
  if (chosen !== undefined && chosen !== "") return resolve(chosen);
  const own = join(ownCaches(env), "sluice");
  if (!asRoot || othersMayEnter(own)) return own;
  return process.platform === "darwin" ? "/Library/Caches/sluice" : "/var/cache/sluice";
}

function ownCaches(env: NodeJS.ProcessEnv): string {
  const home = env.HOME ?? homedir();
  if (process.platform === "darwin") return join(home, "Library", "Caches");
  const xdg = env.XDG_CACHE_HOME;
  return xdg !== undefined && isAbsolute(xdg) ? xdg : join(home, ".cache");
}

/** Whether every folder from the root to the nearest existing ancestor can be entered by any user. */
function othersMayEnter(path: string): boolean {
  for (let folder = path; ; folder = dirname(folder)) {
    const found = statSync(folder, { throwIfNoEntry: false });
    if (found !== undefined && (found.mode & 0o001) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

/**
 * Makes the folder and checks that a run can live there.
 *
 * @throws CannotRun when it cannot be written, when root's helper user could not enter it, or when the disk is full
 */
export async function prepareCache(folder: string): Promise<void> {
  const elsewhere = "set SLUICE_CACHE to a folder of yours on a disk with room";
  try {
    for (const part of [folder, join(folder, "runs")]) {
      await mkdir(part, { recursive: true });
      // Against a strict umask: `nobody` has to get through. Another owner's folder stays as it is.
      if (process.getuid?.() === 0) await chmod(part, 0o755);
    }
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw diskFull(error, folder) ?? new CannotRun(`cannot write to the cache folder ${folder}`, [elsewhere]);
  }
  if (process.getuid?.() === 0 && !othersMayEnter(folder)) {
    throw new CannotRun(`PostgreSQL refuses to run as root, and user nobody cannot enter ${folder}`, [
      "set SLUICE_CACHE to a folder that other users may enter, or leave it unset",
      "or run as an ordinary user",
    ]);
  }
}

/** @throws CannotRun when less than `megabytes` are free on the cache folder's disk */
export async function requireSpace(folder: string, megabytes: number, purpose: string): Promise<void> {
  const disk = await statfs(folder);
  const freeMegabytes = Math.floor((disk.bavail * disk.bsize) / 2 ** 20);
  if (freeMegabytes >= megabytes) return;
  throw new CannotRun(
    `the disk is full: ${purpose} needs ${megabytes} MB in ${folder}, and ${freeMegabytes} MB are free`,
    roomRemedies(folder),
  );
}

/** The error to show when something failed because the disk is full; undefined when that is not the reason. */
export function diskFull(cause: unknown, folder: string): CannotRun | undefined {
  const text =
    cause instanceof Error ? `${(cause as NodeJS.ErrnoException).code} ${cause.message}` : String(cause);
  if (!/ENOSPC|EDQUOT|no space left on device|disk quota exceeded/i.test(text)) return undefined;
  return new CannotRun(`the disk is full: no space left for ${folder}`, roomRemedies(folder));
}

const roomRemedies = (folder: string): readonly string[] => [
  `free some space, or set SLUICE_CACHE to a folder on another disk (${folder} may be deleted at any time)`,
];
