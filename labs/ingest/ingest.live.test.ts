import { expect, test } from "vitest";
import { criterion, provePitfallsUnderLoad, proveSolution } from "../../harness/testing.ts";
import lab from "./lab.ts";

const bench = proveSolution(lab);
provePitfallsUnderLoad(lab, [["row-at-a-time", "keeps-up"]]);

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
  const outcome = await bench().decide(tooMuch, { name: "solution" }, () => true);
  expect(outcome.verdict.verdict).toBe("unknown");
  expect(new Set(outcome.verdict.criteria.map(({ verdict }) => verdict))).toEqual(new Set(["unknown"]));
  expect(criterion(outcome, "load-offered").detail).toContain('phase "spike"');
});
