import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { startWorker } from "./worker.ts";

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

/** A program of these lines that has ended: the end of its output as the harness shows it, and its whole log. */
async function ended(program: string): Promise<{ tail: string; log: string }> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-worker-"));
  folders.push(folder);
  const logFile = join(folder, "worker.log");
  const command = [process.execPath, "-e", program];
  const worker = await startWorker({ id: "w1", command, cwd: folder, env: {}, logFile });
  await worker.exited;
  return { tail: worker.tail(), log: await readFile(logFile, "utf8") };
}

describe("a worker's log", () => {
  test("is kept whole, both streams in their order", async () => {
    const { tail, log } = await ended("console.log('one'); console.error('two'); console.log('three')");
    expect(log).toBe("one\ntwo\nthree\n");
    expect(tail).toBe("one\ntwo\nthree");
  });

  test("of one that prints in a loop keeps its beginning and its end, and tells how much is left out", async () => {
    const lines = 300_000;
    const { tail, log } = await ended(`
      const pad = "x".repeat(90);
      for (let i = 100_000; i < ${100_000 + lines}; i += 1) console.log(i, pad);
      console.error("its last words");`);
    expect(log.length).toBeLessThan(9_000_000);
    expect(log.startsWith("100000 xxx")).toBe(true);
    const [, leftOut = "0"] = /^\[the harness left out (\d+) bytes here\]$/m.exec(log) ?? [];
    expect(log.match(/left out/g)).toHaveLength(1);
    const written = lines * 98 + "its last words\n".length;
    const kept = log.length - `[the harness left out ${leftOut} bytes here]\n`.length;
    // What came while a cut was made is in neither.
    expect(Number(leftOut) + kept).toBeLessThanOrEqual(written);
    expect(Number(leftOut) + kept).toBeGreaterThan(0.5 * written);
    expect(log.split("\n").every((line) => line.length <= 97)).toBe(true);
    expect(tail.split("\n").slice(-2)).toEqual([`${99_999 + lines} ${"x".repeat(90)}`, "its last words"]);
  });
});
