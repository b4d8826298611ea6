import { expect, test } from "vitest";
import { planKills } from "./faults/kills.ts";
import type { Lab, Scenario } from "./lab.ts";
import { schedule } from "./load/schedule.ts";
import { scenarioOf } from "./scenario.ts";
import { testLab } from "./verdict/testing.ts";

const kills = {
  kind: "kill-workers",
  fromMs: 1_000,
  toMs: 5_000,
  count: 4,
  recoveryMs: 100,
  meets: ["write", "anything"],
} as const;

const scenario: Scenario = {
  ...testLab.profiles.full,
  faults: [kills],
  limits: { minKills: 4, minDuplicates: 7 },
  arms: [{ name: "beside", scenario: testLab.profiles.quick }],
};
const lab: Lab = { ...testLab, profiles: { quick: scenario, full: scenario } };

test("kills fall one in the first half of each equal part, at the seed's moments, and take turns", () => {
  const planned = planKills([kills], 7);
  expect(planned).toEqual(planKills([kills], 7));
  expect(planned).not.toEqual(planKills([kills], 8));
  expect(planned.map((plan) => plan.kind === "kill-worker" && plan.meets)).toEqual([
    "write",
    "anything",
    "write",
    "anything",
  ]);
  for (const [i, { atMs }] of planned.entries()) {
    expect(atMs).toBeGreaterThanOrEqual(1_000 * (1 + i));
    expect(atMs).toBeLessThanOrEqual(1_000 * (1 + i) + 500);
  }
});

test("other faults stay as they are", () => {
  expect(planKills(testLab.profiles.full.faults, 1)).toEqual(testLab.profiles.full.faults);
});

test("more kills have half as much load again each, in the phase in which they begin, and no arms", () => {
  const soak = scenarioOf(lab, "full", 10);
  expect(soak.faults).toEqual([{ ...kills, count: 10, toMs: 16_000 }]);
  const [before, after] = [scenario, soak].map(({ load }) => schedule(load.phases).at(-1)?.endMs ?? 0);
  expect((after ?? 0) - (before ?? 0)).toBe(11_000);
  expect(soak.load.phases[0]?.forMs).toBe(13_000);
  expect(soak.arms).toBeUndefined();
  expect(soak.limits).toEqual({ minKills: 10, minDuplicates: 7 });
});

test("the replay of a longer load has as much longer a time", () => {
  const replayed: Scenario = { ...scenario, replay: { withinMs: 4_000 } };
  const { replay, load } = scenarioOf({ ...lab, profiles: { quick: replayed, full: replayed } }, "full", 10);
  const [before, after] = [scenario.load, load].map(({ phases }) => schedule(phases).at(-1)?.endMs ?? 0);
  expect(replay?.withinMs).toBe(Math.round((4_000 * (after ?? 0)) / (before ?? 1)));
});

test("without a number the scenario is the profile's own; a lab without a row of kills cannot have more", () => {
  expect(scenarioOf(lab, "quick")).toBe(scenario);
  expect(() => scenarioOf(testLab, "quick", 10)).toThrow("no row of kills");
});
