/** What remains on the engine of a harness that ended, however it ended: nothing, within half a minute. */
import { readdirSync, readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { connects } from "../contract.ts";
import { serviceClients } from "../contract-clients.ts";
import { exitOf, type Harness, killHarnesses, ready, startHarness } from "../held.ts";
import { until } from "../readiness.ts";
import { findEngine } from "./engine.ts";
import { findAll, removeRun } from "./labels.ts";
import { whyNotHere } from "./testing.ts";

const notHere = await whyNotHere();
const halfAMinute = { timeoutMs: 30_000, everyMs: 200 };

afterAll(killHarnesses);

const engine = async () => (await findEngine()).docker;

/** Containers of this harness. */
async function containersOf(harness: Harness) {
  const found = await findAll(await engine());
  return found.filter(({ owner }) => owner.run.split(".")[2] === String(harness.process.pid));
}

/** The volumes that these containers have. */
async function volumesOf(harness: Harness): Promise<readonly string[]> {
  const docker = await engine();
  const inspected = await Promise.all(
    (await containersOf(harness)).map(({ id }) => docker.getContainer(id).inspect()),
  );
  return inspected.flatMap(({ Mounts }) => Mounts.flatMap(({ Name }) => Name ?? []));
}

/** But those of compose, which another test may be using at the same time. */
async function networks(): Promise<readonly string[]> {
  const all = await (await engine()).listNetworks();
  const others = all.filter(({ Labels }) => Labels?.["com.docker.compose.project"] === undefined);
  return others.map(({ Name }) => Name).sort();
}

async function expectNothingLeft(harness: Harness, volumes: readonly string[]): Promise<void> {
  expect((await containersOf(harness)).map(({ service }) => service)).toEqual([]);
  const { Volumes } = await (await engine()).listVolumes();
  expect((Volumes ?? []).map(({ Name }) => Name).filter((name) => volumes.includes(name))).toEqual([]);
}

const nothingLeft = (harness: Harness, volumes: readonly string[]) =>
  until({ what: "the watchdog", probe: () => expectNothingLeft(harness, volumes) }, halfAMinute);

/** The watchdogs of this harness, by the run in their command line. */
function watchdogsOf(harness: Harness): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, "utf8");
        return line.includes("watchdog.ts") && line.includes(`.${harness.process.pid}.`);
      } catch {
        return false;
      }
    });
}

describe.skipIf(notHere !== undefined)("on the engine, a harness that ends", () => {
  it("by SIGKILL leaves nothing half a minute later: its watchdog has seen to it", async () => {
    const before = await networks();
    const harness = startHarness("containers");
    const { addresses } = await ready(harness);
    const volumes = await volumesOf(harness);
    expect(volumes.length).toBeGreaterThanOrEqual(3);
    harness.process.kill("SIGKILL");
    await exitOf(harness);
    await nothingLeft(harness, volumes);
    expect(await Promise.all(addresses.map(connects))).toEqual(addresses.map(() => false));
    expect(await networks()).toEqual(before);
  });

  it("by SIGKILL together with its watchdog leaves containers, which the next start removes", async () => {
    const harness = startHarness("containers");
    await ready(harness);
    const volumes = await volumesOf(harness);
    const watchdogs = watchdogsOf(harness);
    expect(watchdogs.length).toBeGreaterThan(0);
    for (const pid of watchdogs) process.kill(pid, "SIGKILL");
    harness.process.kill("SIGKILL");
    await exitOf(harness);
    expect((await containersOf(harness)).length).toBe(3);

    const next = startHarness("containers");
    await ready(next);
    expect(next.errors()).toContain("an earlier run left behind");
    await expectNothingLeft(harness, volumes);
    const own = await volumesOf(next);
    next.process.kill("SIGINT");
    expect(await exitOf(next)).toBe(130);
    await expectNothingLeft(next, own);
    await until(
      {
        what: "its watchdog to end",
        probe: async () => {
          if (watchdogsOf(next).length > 0) throw new Error("still there");
        },
      },
      { timeoutMs: 5_000 },
    );
  });

  it("by an error that nobody caught leaves nothing, and shows the error", async () => {
    const harness = startHarness("containers", "throw");
    await ready(harness);
    expect(await exitOf(harness)).toBe(3);
    expect(harness.errors()).toContain("nobody catches this");
    await expectNothingLeft(harness, []);
  });

  it("by Ctrl-C twice, at once, leaves nothing half a minute later", async () => {
    const harness = startHarness("containers");
    await ready(harness);
    const volumes = await volumesOf(harness);
    harness.process.kill("SIGINT");
    setTimeout(() => harness.process.kill("SIGINT"), 350);
    expect(await exitOf(harness)).toBe(130);
    await nothingLeft(harness, volumes);
  });

  it.each([
    ["SIGINT", 200],
    ["SIGINT", 1_200],
    ["SIGINT", 2_500],
    ["SIGKILL", 700],
    ["SIGKILL", 1_500],
  ] as const)("by %s %i ms into its start leaves nothing", async (signal, afterMs) => {
    const harness = startHarness("containers");
    await harness.line();
    const timer = setTimeout(() => harness.process.kill(signal), afterMs);
    expect(await exitOf(harness)).toBe(signal === "SIGINT" ? 130 : "SIGKILL");
    clearTimeout(timer);
    expect(harness.errors()).not.toMatch(/\n\s+at |ended by itself/);
    if (signal === "SIGINT") await expectNothingLeft(harness, []);
    else {
      await until(
        {
          what: "its watchdog to end, and with it what was left",
          probe: async () => {
            if (watchdogsOf(harness).length > 0) throw new Error("still there");
          },
        },
        halfAMinute,
      );
      await expectNothingLeft(harness, []);
    }
  });

  it("with --keep-stack leaves its servers, and the next one finds them with their data", async () => {
    const first = startHarness("containers", "keep");
    const { direct } = await ready(first);
    await serviceClients(direct).write("postgres", "kept");
    first.process.kill("SIGINT");
    expect(await exitOf(first)).toBe(130);
    const [kept] = await containersOf(first);
    if (kept === undefined) throw new Error("nothing was kept");
    try {
      // Not by a run that did not ask for it, which leaves it alone.
      const other = startHarness("containers");
      expect((await ready(other)).direct).not.toEqual(direct);
      other.process.kill("SIGINT");
      await exitOf(other);

      const second = startHarness("containers", "keep");
      const again = await ready(second);
      expect(again.direct).toEqual(direct);
      expect(await serviceClients(again.direct).read("postgres", "kept")).toBe(1);
      second.process.kill("SIGKILL");
      await exitOf(second);
      expect(await containersOf(first)).toHaveLength(3);
    } finally {
      await removeRun(await engine(), kept.owner.run);
    }
  });
});
