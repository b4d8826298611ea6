import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type Bench,
  complaints,
  criterion,
  isDecided,
  isDecidedOn,
  openBench,
} from "../../harness/testing.ts";
import lab from "./lab.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.close());

test("the solution keeps every promise of the ingest lab", async () => {
  const outcome = await bench.decide(lab, { name: "solution" }, isDecided);
  expect(complaints(outcome)).toEqual([]);
  expect(outcome.problems).toEqual([]);
});

describe("every pitfall fails for its own reason", () => {
  test.each([
    ["plain-insert", "one-row-per-event"],
    ["commit-first", "commit-behind-write"],
    ["drop-on-error", "lossless"],
    ["crash-on-poison", "poison-contained"],
    ["row-at-a-time", "keeps-up"],
    ["string-amounts", "payload-intact"],
  ])("%s fails %s", async (pitfall, id) => {
    const outcome = await bench.decide(lab, { name: pitfall }, isDecidedOn(id));
    expect(criterion(outcome, id)).toMatchObject({ id, verdict: "fail" });
    expect(criterion(outcome, id).offending ?? [criterion(outcome, id).detail]).not.toEqual([]);
  });
});

test("the exercise runs to the end and fails with more than one verdict to learn from", async () => {
  const outcome = await bench.decide(lab, { name: "exercise" }, isDecided);
  const failed = outcome.verdict.criteria.filter(({ verdict }) => verdict === "fail");
  expect(outcome.verdict.verdict).toBe("fail");
  expect(failed.length).toBeGreaterThan(1);
  for (const { expected, lookAt } of failed) expect([expected, lookAt]).not.toContain(undefined);
});

test("a load that cannot be offered proves nothing: every verdict is unknown", async () => {
  const quick = lab.profiles.quick;
  const phases = [
    { name: "steady", forMs: 1_000, perSecond: 1_500 },
    { name: "spike", forMs: 1_000, perSecond: 200_000 },
  ];
  const tooMuch = {
    ...lab,
    profiles: { ...lab.profiles, quick: { ...quick, faults: [], load: { ...quick.load, phases } } },
  };
  const outcome = await bench.decide(tooMuch, { name: "solution" }, () => true);
  expect(outcome.verdict.verdict).toBe("unknown");
  expect(new Set(outcome.verdict.criteria.map(({ verdict }) => verdict))).toEqual(new Set(["unknown"]));
  expect(criterion(outcome, "load-offered").detail).toContain('phase "spike"');
});
