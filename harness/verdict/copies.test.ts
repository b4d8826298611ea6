import { expect, test } from "vitest";
import type { Lab, LabTable, Scenario } from "../lab.ts";
import { planMessages } from "../load/messages.ts";
import type { RunRecord } from "../record/record.ts";
import { lossless } from "./delivery.ts";
import { judge } from "./judge.ts";
import { healthyRecord, testLab } from "./testing.ts";

/** An event may end in one of two tables, and comes more than once. */
const effects = testLab.tables[0] as LabTable;
const either: LabTable = { ...effects, belongs: () => true };
const base = testLab.profiles.quick;
const scenario: Scenario = {
  ...base,
  load: {
    ...base.load,
    malformedOneIn: 0,
    copies: [{ name: "later", oneIn: 4, afterMs: [100, 200] }],
  },
};
const lab: Lab = {
  ...testLab,
  profiles: { quick: scenario, full: scenario },
  tables: [either, { ...either, name: "declined" }],
  criteria: [lossless],
};
const plan = planMessages(1, scenario.load, lab.partitions);
const originals = Array.from({ length: plan.length }, (_, i) => i).filter(
  (i) => plan.at(i).copyOf === undefined,
);

function judged(ledger: readonly number[], declined: readonly number[]) {
  const healthy = healthyRecord();
  const table = (name: string, asSent: readonly number[]): RunRecord["tables"][number] => ({
    name,
    columns: ["event_id", "amount_cents"],
    asSent: [...asSent],
    asSentCommittedMs: asSent.map(() => 10),
    others: [],
  });
  const record = { ...healthy, tables: [table("effects", ledger), table("declined", declined)] };
  return judge(record, lab).criteria.find(({ id }) => id === "lossless");
}

test("one row for an event and all its copies is right, in whichever of its tables", () => {
  expect(originals.length).toBeLessThan(plan.length);
  expect(judged(originals.slice(9), originals.slice(0, 9))).toMatchObject({ verdict: "pass" });
});

test("an event in both tables is found", () => {
  const finding = judged(originals, originals.slice(0, 1));
  expect(finding).toMatchObject({ verdict: "fail", measured: 1 });
  expect(finding?.offending?.[0]).toContain("is in effects and declined");
});

test("an event without a row is missing once for each message that brought it", () => {
  const copied = originals.find((i) => plan.at(i + 1).copyOf !== undefined || i > 0) ?? 0;
  const messages = Array.from({ length: plan.length }, (_, i) => i).filter(
    (i) => i === copied || plan.at(i).copyOf === copied,
  );
  const without = originals.filter((i) => i !== copied);
  expect(judged(without, [])).toMatchObject({ verdict: "fail", measured: messages.length });
});
