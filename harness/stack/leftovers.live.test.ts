/** What remains of a harness that ended: nothing; and what one leaves that was killed, the next one removes. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { connects, exists } from "./contract.ts";
import { exitOf, type Harness, type Held, killHarnesses, ready, startHarness } from "./held.ts";
import { cacheFolder } from "./native/cache.ts";

afterAll(killHarnesses);

/** Folders of runs whose harness has this process id. */
const runsOf = (harness: Harness): readonly string[] =>
  readdirSync(join(cacheFolder(process.env), "runs")).filter(
    (name) => name.split(".")[2] === String(harness.process.pid),
  );

async function expectNothingLeft(harness: Harness, held: Held): Promise<void> {
  expect(held.pids.filter(exists)).toEqual([]);
  expect(await Promise.all(held.addresses.map(connects))).toEqual(held.addresses.map(() => false));
  expect(runsOf(harness)).toEqual([]);
}

describe("a harness that ends", () => {
  it("by SIGKILL leaves servers, which the next start removes; by an error or SIGINT it leaves nothing", async () => {
    const killed = startHarness("native");
    const left = await ready(killed);
    killed.process.kill("SIGKILL");
    await exitOf(killed);
    expect(left.pids.filter(exists).length).toBeGreaterThan(2);

    const interrupted = startHarness("native");
    const held = await ready(interrupted);
    await expectNothingLeft(killed, left);
    expect(interrupted.errors()).toContain("earlier run");

    await endByError();
    // A living harness's stack was not taken for a leftover by the one that started and ended beside it.
    expect(held.pids.every(exists)).toBe(true);
    interrupted.process.kill("SIGINT");
    expect(await exitOf(interrupted)).toBe(130);
    await expectNothingLeft(interrupted, held);
  });

  /** By an error that nobody caught: it is shown, nothing is left, the exit code is 3. */
  async function endByError(): Promise<void> {
    const broken = startHarness("native", "throw");
    const held = await ready(broken);
    expect(await exitOf(broken)).toBe(3);
    expect(broken.errors()).toContain("nobody catches this");
    await expectNothingLeft(broken, held);
  }

  it.each([1, 300, 900])(
    "by Ctrl-C %i ms into its start leaves nothing and says so briefly",
    async (afterMs) => {
      const harness = startHarness("native");
      await harness.line();
      const timer = setTimeout(() => harness.process.kill("SIGINT"), afterMs);
      const code = await exitOf(harness);
      clearTimeout(timer);
      expect(code).toBe(130);
      expect(runsOf(harness)).toEqual([]);
      expect(harness.errors()).not.toMatch(/\n\s+at |ended by itself/);
    },
  );
});
