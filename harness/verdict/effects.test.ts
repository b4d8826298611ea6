import { describe, expect, test } from "vitest";
import type { RunRecord, TableRecord } from "../record/record.ts";
import { redeliveredBy } from "./effects.ts";
import { effectsLab, effectsPlan, healthyEffects, replayMs } from "./effects-testing.ts";
import { readEvidence } from "./evidence.ts";
import { judge } from "./judge.ts";
import type { CriterionVerdict } from "./verdict.ts";

/** The verdict on a healthy run in which one thing was changed. */
function judged(plant: (record: RunRecord) => void) {
  const record = healthyEffects();
  plant(record);
  const verdict = judge(record, effectsLab);
  const of = (id: string): CriterionVerdict => {
    const found = verdict.criteria.find((one) => one.id === id);
    if (found === undefined) throw new Error(`no criterion ${id}`);
    return found;
  };
  return {
    of,
    not: (which: string) => verdict.criteria.filter((one) => one.verdict !== which).map(({ id }) => id),
  };
}

/** A table, both before and after the replay. */
function both(record: RunRecord, name: string): TableRecord[] {
  return [...record.tables, ...(record.replay?.tables ?? [])].filter((one) => one.name === name);
}

function addRow(record: RunRecord, name: string, message: number): void {
  for (const { asSent, asSentCommittedMs } of both(record, name)) {
    asSent.push(message);
    asSentCommittedMs.push(3_000);
  }
}

function removeRow(record: RunRecord, name: string, message: number): void {
  for (const { asSent, asSentCommittedMs } of both(record, name)) {
    const at = asSent.indexOf(message);
    if (at < 0) throw new Error(`no row of message ${message} in ${name}`);
    asSent.splice(at, 1);
    asSentCommittedMs.splice(at, 1);
  }
}

const evidence = readEvidence(healthyEffects(), effectsLab);
const all = Array.from({ length: effectsPlan.length }, (_, i) => effectsPlan.at(i));
const inLedger = new Set(evidence.record.tables[0]?.asSent);
const [firstKill] = evidence.faults("kill-worker");
const redelivered = firstKill === undefined ? [] : redeliveredBy(evidence, firstKill, ["ledger", "declined"]);
const redeliveredOriginal = redelivered.find((i) => inLedger.has(i)) ?? -1;
const originalOf = (kind: string): number =>
  all.find(
    ({ copy, copyOf = -1 }) => copy?.name === kind && inLedger.has(copyOf) && !redelivered.includes(copyOf),
  )?.copyOf ?? -1;
const reused = all.find(({ copy }) => copy?.conflicting === true);

test("a run in which everything went right passes every criterion", () => {
  expect(judged(() => undefined).not("pass")).toEqual([]);
});

test("what the dead worker had stored and not committed counts as delivered again", () => {
  expect(redelivered.length).toBeGreaterThan(10);
  expect(redelivered.length).toBeLessThan(80);
  const { of } = judged(() => undefined);
  expect(of("duplicates-delivered").detail).toMatch(
    /after 2 kills: \d+ to \d+, on average \d+ for each \(\d+, \d+\)/,
  );
});

describe("one planted fault is found by its own criterion", () => {
  test("a second effect of an event that came later again", () => {
    const doubled = originalOf("later");
    const { of, not } = judged((record) => addRow(record, "ledger", doubled));
    expect(not("pass")).toEqual(["one-effect-per-key"]);
    expect(of("one-effect-per-key")).toMatchObject({ verdict: "fail", measured: 1 });
    expect(of("one-effect-per-key").offending?.[0]).toContain(effectsPlan.eventId(doubled));
  });

  test("an effect with another amount than its event's, in money that adds up", () => {
    const keys = new Set(all.filter(({ copy }) => copy?.conflicting === true).map(({ copyOf }) => copyOf));
    const changed = [...inLedger].find((i) => !keys.has(i)) ?? -1;
    const { of, not } = judged((record) => {
      removeRow(record, "ledger", changed);
      for (const { others } of both(record, "ledger"))
        others.push({ values: [effectsPlan.eventId(changed) ?? null, "1"], committedMs: 3_000 });
    });
    expect(not("pass")).toEqual(["one-effect-per-key"]);
    expect(of("one-effect-per-key")).toMatchObject({ verdict: "fail", measured: 1 });
    expect(of("one-effect-per-key").offending?.[0]).toContain('has amount_cents = "1" instead of');
  });

  test("a second effect of an event sent to two partitions at once", () => {
    const { of, not } = judged((record) => addRow(record, "ledger", originalOf("twin")));
    expect(not("pass")).toEqual(["one-effect-per-key", "race-safe"]);
    expect(of("race-safe")).toMatchObject({ verdict: "fail", measured: 1 });
  });

  test("a second effect of an event that was in flight at a kill", () => {
    const { of, not } = judged((record) => addRow(record, "ledger", redeliveredOriginal));
    expect(not("pass")).toContain("crash-safe");
    expect(of("crash-safe")).toMatchObject({ verdict: "fail", measured: 1 });
    expect(of("crash-safe").offending?.[0]).toContain("in flight at the kill at 1.5 s");
  });

  test("a lost effect of an event that was in flight at a kill", () => {
    const { of, not } = judged((record) => removeRow(record, "ledger", redeliveredOriginal));
    expect(not("pass")).toEqual(expect.arrayContaining(["lossless", "crash-safe"]));
    expect(of("crash-safe").detail).toContain("1 have no effect");
  });

  test("an effect that was also declined", () => {
    const { not } = judged((record) => addRow(record, "declined", originalOf("later")));
    expect(not("pass")).toEqual(["lossless", "one-effect-per-key", "budget-respected"]);
  });

  test("a reused key that is not flagged, or twice", () => {
    const index = reused?.index ?? -1;
    expect(judged((record) => removeRow(record, "conflicts", index)).not("pass")).toEqual([
      "lossless",
      "conflict-flagged",
    ]);
    const { of, not } = judged((record) => addRow(record, "conflicts", index));
    expect(not("pass")).toEqual(["conflict-flagged"]);
    expect(of("conflict-flagged").offending?.[0]).toContain("is in conflicts 2 times");
  });

  test("a reused key that had an effect", () => {
    const { of } = judged((record) => {
      const values = [
        effectsPlan.eventId(reused?.index ?? -1) ?? "",
        String(effectsPlan.event(reused?.index ?? -1)?.amountCents),
      ];
      for (const { others } of both(record, "ledger")) others.push({ values, committedMs: 3_000 });
    });
    expect(of("conflict-flagged").verdict).toBe("fail");
    expect(of("conflict-flagged").offending?.[0]).toContain("had an effect of its own");
  });

  test("a message flagged that is no conflict", () => {
    const { not } = judged((record) => {
      for (const { others } of both(record, "conflicts"))
        others.push({ values: ["t", "0", "0"], committedMs: 10 });
    });
    expect(not("pass")).toEqual(["lossless", "conflict-flagged"]);
  });
});

describe("budgets", () => {
  const sample = (record: RunRecord, at: number): (string | null)[][] =>
    record.watches?.[0]?.samples.find(({ atMs }) => atMs === at)?.rows ?? [];

  test.each([
    [
      "spent is not the ledger's sum in one snapshot",
      2,
      (was: string) => String(BigInt(was) + 1n),
      "its ledger says",
    ],
    [
      "a budget is not what it was",
      1,
      (was: string) => String(BigInt(was) * 2n),
      "another budget than at the start",
    ],
  ])("%s", (_, column, change, words) => {
    const { of, not } = judged((record) => {
      const row = sample(record, 2_000)[3] ?? [];
      row[column] = change(row[column] ?? "");
    });
    expect(not("pass")).toEqual(["budget-respected"]);
    expect(of("budget-respected").offending?.[0]).toContain(`at 2.0 s acct-0003`);
    expect(of("budget-respected").offending?.[0]).toContain(words);
  });

  test("more is spent than there is, though the books balance", () => {
    const { of } = judged((record) => {
      const row = sample(record, 3_000)[0] ?? [];
      row[2] = row[3] = "2000001";
    });
    expect(of("budget-respected").offending?.[0]).toContain("2000001 of a budget of 2000000");
  });

  test("an event is declined twice, or without need", () => {
    const declined = evidence.record.tables[1]?.asSent[0] ?? -1;
    const twice = judged((record) => addRow(record, "declined", declined)).of("budget-respected");
    expect(twice.offending?.[0]).toContain("was declined 2 times");
    const [first = -1] = [...inLedger].filter((i) => effectsPlan.at(i).accountId === "acct-0003");
    const needless = judged((record) => addRow(record, "declined", first)).of("budget-respected");
    expect(needless.offending?.[0]).toContain("cents fit");
  });

  test("too few snapshots, or no budget used up, say nothing", () => {
    const few = judged((record) => record.watches?.[0]?.samples.splice(10));
    expect(few.of("budget-respected").verdict).toBe("unknown");
  });
});

describe("the replay", () => {
  test("by a group that committed all and was sent next to nothing proves nothing", () => {
    const sent = (bytes: number) => (record: RunRecord) => {
      record.linkSamples = [replayMs - 100, replayMs + 500].map((atMs, i) => ({
        atMs,
        service: "kafka",
        toServiceBytes: 0,
        toWorkerBytes: 1_000 + i * bytes,
      }));
    };
    const unread = judged(sent(10_000)).of("replay-harmless");
    expect(unread).toMatchObject({ verdict: "unknown" });
    expect(unread.detail).toContain("did not read them");
    const length = effectsPlan.value(0)?.length ?? 0;
    expect(judged(sent(effectsPlan.length * length)).of("replay-harmless").verdict).toBe("pass");
  });

  test("a row more or less after it is found", () => {
    const more = judged((record) => {
      const ledger = record.replay?.tables[0];
      ledger?.asSent.push(ledger.asSent[5] ?? 0);
      ledger?.asSentCommittedMs.push(replayMs + 10);
    });
    expect(more.not("pass")).toEqual(["replay-harmless"]);
    expect(more.of("replay-harmless")).toMatchObject({ verdict: "fail", measured: 1 });
    const less = judged((record) => record.replay?.tables[0]?.asSent.pop());
    expect(less.of("replay-harmless").offending?.[0]).toContain("-1 row less");
  });

  test("a balance that it changed is found", () => {
    const { of } = judged((record) => {
      const row = record.watches?.[0]?.samples.at(-1)?.rows[3] ?? [];
      row[2] = row[3] = String(BigInt(row[2] ?? 0) + 5n);
    });
    expect(of("replay-harmless")).toMatchObject({ verdict: "fail", measured: 1 });
    expect(of("replay-harmless").offending?.[0]).toContain("acct-0003 had spent");
  });

  test("one that did not come to its end, or was not made, says nothing", () => {
    const late = judged((record) => {
      if (record.replay !== undefined) record.replay.drained = false;
    });
    expect(late.of("replay-harmless").verdict).toBe("unknown");
    const none = judged((record) => {
      record.replay = undefined;
    });
    expect(none.of("replay-harmless").verdict).toBe("unknown");
  });
});

describe("what was not put to the test is unknown", () => {
  test("too few duplicates or kills", () => {
    const { of } = judged((record) => {
      record.parameters.minDuplicates = 100_000;
    });
    expect(of("duplicates-delivered").verdict).toBe("unknown");
    const few = judged((record) => {
      record.parameters.minKills = 3;
    });
    expect(few.of("duplicates-delivered").verdict).toBe("unknown");
  });

  test("kills that never met what they were to meet", () => {
    const { of } = judged((record) => {
      for (const fault of record.faults) if (fault.meets === "transaction") fault.note = "waited 1.5 s";
    });
    expect(of("crash-safe").verdict).toBe("unknown");
    expect(of("crash-safe").detail).toContain(
      "None of 1 kills that were to strike in an open transaction did",
    );
  });

  test("too few pairs on two partitions", () => {
    const { of } = judged((record) => {
      record.parameters.minTwins = 5_000;
    });
    expect(of("race-safe").verdict).toBe("unknown");
  });
});
