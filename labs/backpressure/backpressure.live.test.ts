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

test("the solution keeps every promise of the backpressure lab", async () => {
  const outcome = await bench.decide(lab, { name: "solution" }, isDecided);
  expect(complaints(outcome)).toEqual([]);
  expect(outcome.problems).toEqual([]);
});

describe("every pitfall fails for its own reason", () => {
  test.each([
    ["unbounded-buffer", "bounded-memory"],
    ["unbounded-concurrency", "bounded-concurrency"],
    ["fixed-throttle", "rate-matches-capacity"],
    ["drop-when-busy", "lossless"],
    ["no-heartbeat", "no-rebalance"],
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
