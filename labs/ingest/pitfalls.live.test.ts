import { expect, test } from "vitest";
import {
  criterion,
  openBench,
  proveExercise,
  provePitfalls,
  provePitfallsInCalm,
} from "../../harness/testing.ts";
import lab from "./lab.ts";

provePitfalls(lab, [
  ["plain-insert", "one-row-per-event"],
  ["commit-first", "commit-behind-write"],
  ["drop-on-error", "lossless"],
]);
provePitfallsInCalm(lab, [
  ["crash-on-poison", "poison-contained"],
  ["string-amounts", "payload-intact"],
]);
proveExercise(lab);

test("a load that cannot be offered proves nothing: every verdict is unknown", async () => {
  const quick = lab.profiles.quick;
  const phases = [
    { name: "steady", forMs: 500, perSecond: 1_500 },
    { name: "spike", forMs: 200, perSecond: 200_000 },
  ];
  const tooMuch = {
    ...lab,
    profiles: { ...lab.profiles, quick: { ...quick, faults: [], load: { ...quick.load, phases } } },
  };
  const bench = await openBench(lab);
  const outcome = await bench.decide(tooMuch, { name: "solution" }, () => []);
  expect(outcome.verdict.verdict).toBe("unknown");
  expect(new Set(outcome.verdict.criteria.map(({ verdict }) => verdict))).toEqual(new Set(["unknown"]));
  expect(criterion(outcome, "load-offered").detail).toContain('phase "spike"');
});
