/**
 * Folders that are made once and used by every later run: downloads, templates.
 *
 * Each is made below the run's own folder and renamed into place, so nobody ever sees half of one; what a
 * dead harness had begun goes with its run. A manifest in it lists every file with its size: a folder that lost a
 * file, or holds a cut one, is made again. The manifest's time is that of the folder's last use: when another version of
 * something is made, those that nobody has used for long are removed.
 */
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { StackProgress } from "../stack.ts";
import { diskFull } from "./cache.ts";
import { identify, isAlive } from "./identity.ts";
import type { Run } from "./run.ts";

const manifestName = "manifest.json";
/** Two weeks: branches with other versions are still at hand, and years of updates do not fill the disk. */
const unusedForMs = 14 * 24 * 3_600_000;

/**
 * The folder `<cache>/<kind>/<key>`, made by `make` when it is not there or not whole.
 *
 * @param make fills the empty folder it is given
 * @param onProgress told in one line that the folder was broken, or that another harness is making it
 */
export async function storedFolder(
  cache: string,
  run: Run,
  place: { readonly kind: string; readonly key: string },
  make: (folder: string) => Promise<void>,
  onProgress: StackProgress,
): Promise<string> {
  const target = join(cache, place.kind, place.key);
  if ((await check(target)) === undefined) return used(target);
  await mkdir(join(cache, place.kind), { recursive: true, mode: 0o755 });
  const tellWho = (pid: string): void =>
    onProgress(`waiting for another run (process ${pid}) that prepares the same`);
  return withLock(`${target}.lock`, tellWho, async () => {
    const fault = await check(target);
    if (fault === undefined) return used(target);
    if (fault !== "absent") {
      onProgress(`the cached ${place.kind} folder is broken (${fault}): making it again`);
      await rename(target, join(run.folder, `broken-${place.kind}`));
    }
    const draft = join(run.folder, `new-${place.kind}`);
    try {
      await mkdir(draft, { mode: 0o755 });
      await make(draft);
      await writeManifest(draft);
      await rename(draft, target);
      await removeUnused(cache, run, place);
    } catch (error) {
      throw diskFull(error, cache) ?? error;
    }
    return target;
  });
}

async function used(folder: string): Promise<string> {
  const now = new Date();
  // Another user's folder can be used and not be marked; and it can have gone at this moment.
  await utimes(join(folder, manifestName), now, now).catch(() => undefined);
  return folder;
}

/** Moves what nobody has used for long into the run's own folder, with which it goes. */
async function removeUnused(
  cache: string,
  run: Run,
  { kind, key }: { readonly kind: string; readonly key: string },
): Promise<void> {
  for (const name of await readdir(join(cache, kind))) {
    if (name === key) continue;
    const folder = join(cache, kind, name);
    const manifest = await stat(join(folder, manifestName)).catch(() => undefined);
    if (manifest === undefined || Date.now() - manifest.mtimeMs < unusedForMs) continue;
    await rename(folder, join(run.folder, `old-${kind}-${name}`)).catch(() => undefined);
  }
}

async function writeManifest(folder: string): Promise<void> {
  const sizes: Record<string, number> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    sizes[relative(folder, path)] = (await stat(path)).size;
  }
  await writeFile(join(folder, manifestName), JSON.stringify(sizes));
}

/** Undefined when whole, "absent", or what is wrong. */
async function check(folder: string): Promise<string | undefined> {
  if ((await stat(folder).catch(() => undefined)) === undefined) return "absent";
  try {
    const sizes = JSON.parse(await readFile(join(folder, manifestName), "utf8")) as Record<string, number>;
    const faults = await Promise.all(
      Object.entries(sizes).map(async ([name, size]) => {
        const found = await stat(join(folder, name)).catch(() => undefined);
        return found?.size === size ? [] : [name];
      }),
    );
    const [first] = faults.flat();
    return first === undefined ? undefined : `${first} is missing or damaged`;
  } catch {
    return "no readable manifest";
  }
}

/**
 * Lets one harness at a time do the work; the others wait and then find it done. The renames above keep the
 * result right in any case (two harnesses that both take over a dead one's lock merely do the work twice).
 */
async function withLock<T>(lock: string, tellWho: (pid: string) => void, work: () => Promise<T>): Promise<T> {
  const self = identify(process.pid);
  let told = false;
  for (;;) {
    try {
      await writeFile(lock, `${self?.pid} ${self?.startedAt}`, { flag: "wx" });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw diskFull(error, lock) ?? error;
      const holder = await readFile(lock, "utf8").catch(() => "");
      const [pid, startedAt = ""] = holder.split(" ");
      const age = Date.now() - ((await stat(lock).catch(() => undefined))?.mtimeMs ?? Date.now());
      // Empty: its writer is between making and filling it, or died there.
      const abandoned = holder === "" ? age > 2_000 : !isAlive({ pid: Number(pid), startedAt });
      if (abandoned) {
        await rm(lock, { force: true });
        continue;
      }
      if (!told && holder !== "") tellWho(pid ?? "");
      told = told || holder !== "";
      // No deadline: the holder is alive and downloading, and its user sees how far it is.
      await sleep(100);
    }
  }
  try {
    return await work();
  } finally {
    await rm(lock, { force: true });
  }
}
