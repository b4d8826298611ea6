import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { createCrew } from "./crew.ts";

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function crewOf(...command: string[]) {
  const folder = await mkdtemp(join(tmpdir(), "sluice-crew-"));
  folders.push(folder);
  const entered: number[] = [];
  const crew = createCrew({
    book: {
      enter: (pid: number) => {
        entered.push(pid);
        return () => undefined;
      },
      close: async () => undefined,
    },
    command,
    cwd: folder,
    folder,
    environment: () => ({}),
    onUnplannedExit: () => undefined,
  });
  return { crew, entered };
}

test("the record says who was told to end, and how they ended", async () => {
  const { crew } = await crewOf("sleep", "30");
  await crew.start();
  await crew.kill();
  await crew.start();
  await crew.terminateAll();
  expect(crew.toRecord(0, []).map(({ exit }) => [exit?.signal, exit?.told])).toEqual([
    ["SIGKILL", undefined],
    ["SIGTERM", true],
  ]);
});

test("no worker is left of a start that comes after the run's end, or that is under way at it", async () => {
  const { crew, entered } = await crewOf("sleep", "30");
  const underWay = crew.start();
  const refused = expect(underWay).rejects.toThrow("the run is over");
  await crew.killAll();
  await refused;
  await expect(crew.start()).rejects.toThrow("the run is over");
  expect(crew.running()).toEqual([]);
  expect(entered).toEqual([]);
});
