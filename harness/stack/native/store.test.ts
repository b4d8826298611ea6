import { existsSync, readdirSync, truncateSync, unlinkSync, utimesSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createRun, type Run } from "./run.ts";
import { storedFolder } from "./store.ts";

let cache: string;
let run: Run;
beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), "sluice-store-"));
  await mkdir(join(cache, "runs"));
  run = createRun(cache);
});
afterEach(async () => {
  await run.stop();
  await rm(cache, { recursive: true, force: true });
});

const place = { kind: "things", key: "k1" };
const target = () => join(cache, "things", "k1");

function maker() {
  let times = 0;
  return {
    times: () => times,
    make: async (folder: string) => {
      times += 1;
      await mkdir(join(folder, "deep"));
      await writeFile(join(folder, "deep", "file"), `made ${times}`);
    },
  };
}
const ignore = (): void => {};

it("makes a folder once, and finds it afterwards", async () => {
  const { make, times } = maker();
  const first = await storedFolder(cache, run, place, make, ignore);
  expect(await readFile(join(first, "deep", "file"), "utf8")).toBe("made 1");
  expect(await storedFolder(cache, run, place, make, ignore)).toBe(first);
  expect(times()).toBe(1);
});

it("makes it once for two that want it at the same time, and tells the one that waits", async () => {
  const other = createRun(cache);
  const { make, times } = maker();
  const said: string[] = [];
  let tell = ignore;
  const isTold = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const say = (line: string): void => {
    said.push(line);
    tell();
  };
  // It lasts until the other one has said that it waits: how long either takes to come here is left to chance.
  const makeSlowly = async (folder: string): Promise<void> => {
    await make(folder);
    await isTold;
  };
  const folders = await Promise.all(
    [run, other].map((each) => storedFolder(cache, each, place, makeSlowly, say)),
  );
  expect(folders).toEqual([target(), target()]);
  expect(times()).toBe(1);
  expect(said).toEqual([expect.stringContaining("waiting for another run")]);
  await other.stop();
});

it.each([
  ["lost", (file: string) => unlinkSync(file)],
  ["cut short", (file: string) => truncateSync(file, 2)],
])("makes it again when a file is %s, and names the file", async (_, damage) => {
  const { make } = maker();
  damage(join(await storedFolder(cache, run, place, make, ignore), "deep", "file"));
  const said: string[] = [];
  const folder = await storedFolder(cache, run, place, make, (line) => said.push(line));
  expect(await readFile(join(folder, "deep", "file"), "utf8")).toBe("made 2");
  expect(said.join()).toContain("deep/file");
});

it("makes it again when the manifest is gone", async () => {
  const { make, times } = maker();
  unlinkSync(join(await storedFolder(cache, run, place, make, ignore), "manifest.json"));
  await storedFolder(cache, run, place, make, ignore);
  expect(times()).toBe(2);
});

it("leaves no half of a folder when making fails, and lets the next one try", async () => {
  const failing = async (folder: string) => {
    await writeFile(join(folder, "half"), "");
    throw new Error("no network");
  };
  await expect(storedFolder(cache, run, place, failing, ignore)).rejects.toThrow("no network");
  expect(readdirSync(join(cache, "things"))).toEqual([]);
  const next = createRun(cache);
  const { make } = maker();
  expect(existsSync(join(await storedFolder(cache, next, place, make, ignore), "half"))).toBe(false);
  await next.stop();
});

it("takes over the lock of a harness that died", async () => {
  await mkdir(join(cache, "things"));
  // No process is this old: the identity of one that is gone.
  await writeFile(`${target()}.lock`, `${process.pid} 1`);
  const { make } = maker();
  expect(await storedFolder(cache, run, place, make, ignore)).toBe(target());
});

it("says that the disk is full when that is why", async () => {
  const full = () => Promise.reject(Object.assign(new Error("write failed"), { code: "ENOSPC" }));
  await expect(storedFolder(cache, run, place, full, ignore)).rejects.toThrow(
    /the disk is full.*sluice-store-/,
  );
});

it("removes other versions when a new one is made, if nobody has used them for two weeks", async () => {
  const { make } = maker();
  const used = (daysAgo: number) => new Date(Date.now() - daysAgo * 86_400_000);
  const kept = await storedFolder(cache, run, { kind: "things", key: "kept" }, make, ignore);
  const old = await storedFolder(cache, run, { kind: "things", key: "old" }, make, ignore);
  const other = await storedFolder(cache, run, { kind: "others", key: "old" }, make, ignore);
  for (const folder of [old, other]) utimesSync(join(folder, "manifest.json"), used(15), used(15));
  utimesSync(join(kept, "manifest.json"), used(15), used(15));
  // To use one marks it as used.
  await storedFolder(cache, run, { kind: "things", key: "kept" }, make, ignore);
  expect([kept, old, other].map(existsSync)).toEqual([true, true, true]);
  await storedFolder(cache, run, { kind: "things", key: "new" }, make, ignore);
  expect([kept, old, other].map(existsSync)).toEqual([true, false, true]);
  await run.stop();
  expect(readdirSync(join(cache, "runs"))).toEqual([]);
});
