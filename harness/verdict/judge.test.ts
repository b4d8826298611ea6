import { describe, expect, test } from "vitest";
import { planMessages } from "../load/messages.ts";
import type { RunRecord, TableRecord } from "../record/record.ts";
import { judge } from "./judge.ts";
import { healthyRecord, testLab } from "./testing.ts";
import type { CriterionVerdict } from "./verdict.ts";

/** The verdict on a healthy run in which one thing was changed. */
function judged(plant: (record: RunRecord) => void) {
  const record = healthyRecord();
  plant(record);
  const verdict = judge(record, testLab);
  const of = (id: string): CriterionVerdict => {
    const found = verdict.criteria.find((one) => one.id === id);
    if (found === undefined) throw new Error(`no criterion ${id}`);
    return found;
  };
  const not = (which: string) => verdict.criteria.filter((one) => one.verdict !== which).map(({ id }) => id);
  return { verdict, of, not };
}

function table(record: RunRecord, name: string): TableRecord {
  const found = record.tables.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no table ${name}`);
  return found;
}

/** Takes row `at` away and returns the message it stood for. */
function removeRow({ asSent, asSentCommittedMs }: TableRecord, at: number): number {
  const [message] = asSent.splice(at, 1);
  asSentCommittedMs.splice(at, 1);
  return message ?? -1;
}

const plan = planMessages(1, testLab.profiles.quick.load, testLab.partitions);

function moveRows(record: RunRecord, moved: (atMs: number) => number): void {
  for (const one of record.tables)
    one.asSentCommittedMs = one.asSentCommittedMs.map((at) => (at === null ? null : moved(at)));
}

/** A worker that does this share of the load. */
function slowDown(record: RunRecord, share: number): void {
  for (const sample of record.commitSamples) sample.committed = sample.committed.map((at) => at * share);
  moveRows(record, (at) => at / share);
}

test("a run in which everything went right passes every criterion", () => {
  const { verdict, not } = judged(() => undefined);
  expect(not("pass")).toEqual([]);
  expect(verdict.verdict).toBe("pass");
});

test("the same record gets the same verdict twice", () => {
  const record = healthyRecord();
  expect(judge(record, testLab)).toEqual(judge(structuredClone(record), testLab));
});

test("every verdict says what was measured, the threshold and the sample count", () => {
  for (const one of judged(() => undefined).verdict.criteria) {
    expect(one.threshold).toMatch(/^(>=|<=|<|=) \d/);
    expect(one.samples).toBeGreaterThan(0);
    expect(one.measured).not.toBeNull();
    expect(one.unit).not.toBe("");
  }
});

describe("one planted fault is found by its own criterion", () => {
  test("a lost event fails lossless, and is named", () => {
    let lost = -1;
    const { of, not } = judged((record) => {
      lost = removeRow(table(record, "effects"), 700);
    });
    expect(not("pass")).toEqual(["lossless"]);
    expect(of("lossless")).toMatchObject({ verdict: "fail", measured: 1 });
    expect(of("lossless").detail).toContain("1 of them below the committed offset: lost for good");
    expect(of("lossless").offending?.[0]).toContain(plan.event(lost)?.eventId);
  });

  test("a lost malformed message fails lossless and poison-contained", () => {
    const { not } = judged((record) => removeRow(table(record, "rejected"), 3));
    expect(not("pass")).toEqual(["lossless", "poison-contained"]);
  });

  test("a duplicate row fails one-row-per-event, and is named with both times", () => {
    let doubled = -1;
    const { of, not } = judged((record) => {
      const { asSent, asSentCommittedMs } = table(record, "effects");
      doubled = asSent[500] ?? -1;
      asSent.push(doubled);
      asSentCommittedMs.push(4_800);
    });
    expect(not("pass")).toEqual(["one-row-per-event"]);
    expect(of("one-row-per-event")).toMatchObject({ verdict: "fail", measured: 1 });
    expect(of("one-row-per-event").offending?.[0]).toContain(plan.event(doubled)?.eventId);
    expect(of("one-row-per-event").offending?.[0]).toContain("4.8 s");
  });

  test("a changed value fails payload-intact, and says column, value and what was sent", () => {
    let changed = -1;
    const { of, not } = judged((record) => {
      changed = removeRow(table(record, "effects"), 300);
      const values = [plan.event(changed)?.eventId ?? "", "12"];
      table(record, "effects").others.push({ values, committedMs: 900 });
    });
    expect(not("pass")).toEqual(["payload-intact"]);
    expect(of("payload-intact").offending?.[0]).toContain(
      `amount_cents = "12" instead of "${plan.event(changed)?.amountCents}"`,
    );
  });

  test("a changed byte of a malformed message fails poison-contained", () => {
    const { not } = judged((record) => {
      const message = removeRow(table(record, "rejected"), 2);
      const { partition, offset } = record.ledger;
      const bytes = `${plan.value(message)?.toString("hex") ?? ""}00`;
      table(record, "rejected").others.push({
        values: ["t", String(partition[message]), String(offset[message]), bytes],
        committedMs: 900,
      });
    });
    expect(not("pass")).toEqual(["poison-contained"]);
  });

  test("a row that nobody sent fails lossless as unaccounted", () => {
    const { of, not } = judged((record) => {
      table(record, "effects").others.push({
        values: ["3f0b6a52-0000-4000-8000-000000000000", "5"],
        committedMs: 900,
      });
    });
    expect(not("pass")).toEqual(["lossless"]);
    expect(of("lossless").offending?.[0]).toContain("never sent there");
  });

  test("a healthy event among the rejected ones is found", () => {
    const { of } = judged((record) => {
      const healthy = table(record, "effects").asSent[0] ?? 0;
      const { partition, offset } = record.ledger;
      table(record, "rejected").others.push({
        values: ["t", String(partition[healthy]), String(offset[healthy]), "00"],
        committedMs: 900,
      });
    });
    expect(of("lossless").verdict).toBe("fail");
    expect(of("poison-contained").verdict).toBe("fail");
  });

  test("a commit that ran ahead of its row fails commit-behind-write, though the row came later", () => {
    const { of, not } = judged((record) => {
      record.commitSamples[10]?.missing.push([1, 444]);
    });
    expect(not("pass")).toEqual(["commit-behind-write"]);
    expect(of("commit-behind-write").offending?.[0]).toContain(
      "partition 1 offset 444 was committed at 1.1 s",
    );
  });

  test("a worker that ended by itself fails poison-contained, with the end of its output", () => {
    const { of } = judged((record) => {
      const [first] = record.workers;
      if (first?.exit)
        first.exit = { atMs: 1_000, code: 1, signal: null, planned: false, tail: "at x\nSyntaxError: boom" };
    });
    expect(of("poison-contained").verdict).toBe("fail");
    expect(of("poison-contained").offending?.[0]).toContain("code 1: SyntaxError: boom");
  });

  test("lag that never comes back after the spike fails keeps-up", () => {
    const { of } = judged((record) => {
      for (const sample of record.commitSamples) {
        if (sample.atMs > 2_000)
          sample.committed = sample.committed.map((offset) => Math.max(0, offset - 400));
      }
      moveRows(record, (at) => (at > 2_000 ? at + 800 : at));
    });
    expect(of("keeps-up")).toMatchObject({ verdict: "fail", measured: null });
  });

  test("a worker that stores at once and commits every two seconds keeps up; one that also stores late does not", () => {
    const keepsUp = (lateMs: number) =>
      judged((record) => {
        const every = record.commitSamples.filter((_, i) => i % 20 === 0);
        for (const sample of record.commitSamples)
          sample.committed = every.findLast(({ atMs }) => atMs <= sample.atMs)?.committed ?? [];
        moveRows(record, (at) => (at > 2_000 ? at + lateMs : at));
      }).of("keeps-up").verdict;
    expect(keepsUp(0)).toBe("pass");
    expect(keepsUp(1_500)).toBe("fail");
  });

  test("where the database keeps no commit times the group's lag decides", () => {
    const { of } = judged((record) => {
      for (const one of record.tables) one.asSentCommittedMs = one.asSentCommittedMs.map(() => null);
      for (const sample of record.commitSamples)
        if (sample.atMs > 2_000)
          sample.committed = sample.committed.map((offset) => Math.max(0, offset - 400));
    });
    expect(of("keeps-up").verdict).toBe("fail");
  });

  test("lag that already grows under the steady load has no baseline to return to, and fails keeps-up", () => {
    const { of } = judged((record) => {
      slowDown(record, 0.2);
    });
    expect(of("keeps-up").detail).toContain("no baseline");
    expect(of("keeps-up").verdict).toBe("fail");
  });

  test("a new worker that stores nothing new fails survives-kill", () => {
    const { of } = judged((record) => {
      const effects = table(record, "effects");
      for (let i = effects.asSent.length - 1; i >= 0; i -= 1) {
        if ((record.ledger.sentMs[effects.asSent[i] ?? 0] ?? 0) > 4_100) removeRow(effects, i);
      }
    });
    expect(of("survives-kill")).toMatchObject({ verdict: "fail", measured: null });
  });

  test("a slow hundredth fails fresh; one event in a thousand does not", () => {
    const slow = (oneIn: number) =>
      judged((record) => {
        const times = table(record, "effects").asSentCommittedMs;
        for (let i = 0; i < times.length; i += oneIn) times[i] = (times[i] ?? 0) + 1_500;
      }).of("fresh").verdict;
    expect(slow(50)).toBe("fail");
    expect(slow(1_000)).toBe("pass");
  });

  test("events that were never stored count as late", () => {
    const { of } = judged((record) => {
      for (let i = 0; i < 100; i += 1) removeRow(table(record, "effects"), 100);
    });
    expect(of("fresh").verdict).toBe("fail");
  });
});

describe("a run that proved nothing is unknown", () => {
  test("too few looks at the offsets: commit-behind-write is unknown, and says how many there were", () => {
    const { of } = judged((record) => {
      record.commitSamples.splice(5);
    });
    expect(of("commit-behind-write").verdict).toBe("unknown");
    expect(of("commit-behind-write").detail).toContain("5 looks covered");
  });

  test("looks that ended in mid-run: commit-behind-write is unknown, though all of them were clean", () => {
    const { of } = judged((record) => {
      record.commitSamples.splice(30);
    });
    expect(of("commit-behind-write").verdict).toBe("unknown");
    expect(of("commit-behind-write").detail).toContain("30 looks covered");
  });

  test("a fault that struck a worker at rest: nothing clean is proven, what is lost is still found", () => {
    const idle = (record: RunRecord) => {
      const [fault] = record.faults;
      if (fault) fault.flowing = false;
    };
    expect(judged(idle).of("lossless").verdict).toBe("unknown");
    expect(judged(idle).of("commit-behind-write").verdict).toBe("unknown");
    const lost = judged((record) => {
      idle(record);
      removeRow(table(record, "effects"), 10);
    });
    expect(lost.of("lossless").verdict).toBe("fail");
  });

  test("a fault that the stack could not make: nothing clean is proven, and why is said", () => {
    const { of } = judged((record) => {
      record.stack.limits = ["postgres cannot be cut: its connections are encrypted"];
    });
    expect(of("lossless")).toMatchObject({ verdict: "unknown" });
    expect(of("lossless").detail).toContain("encrypted");
    expect(of("commit-behind-write").verdict).toBe("unknown");
  });

  test("no redelivery: one-row-per-event is unknown", () => {
    const { of } = judged((record) => {
      record.faults = [];
    });
    expect(of("one-row-per-event").verdict).toBe("unknown");
    expect(of("survives-kill").verdict).toBe("unknown");
  });

  test("a load that was not offered makes every criterion unknown, even one that would fail", () => {
    const { verdict, not } = judged((record) => {
      removeRow(table(record, "effects"), 10);
      record.ledger.sentMs = record.ledger.sentMs.map((at, i) => (i % 8 === 0 ? at + 4_000 : at));
    });
    expect(not("unknown")).toEqual([]);
    expect(verdict.verdict).toBe("unknown");
  });

  test("messages that are on the broker and not in the ledger: unknown", () => {
    const { of } = judged((record) => {
      record.ledger.endOffsets[0] = (record.ledger.endOffsets[0] ?? 0) + 3;
    });
    expect(of("load-offered").verdict).toBe("unknown");
  });

  test("no commit times: fresh is unknown, and names the setting", () => {
    const { of } = judged((record) => {
      for (const one of record.tables) one.asSentCommittedMs = one.asSentCommittedMs.map(() => null);
    });
    expect(of("fresh").verdict).toBe("unknown");
    expect(of("fresh").lookAt).toContain("track_commit_timestamp");
  });

  test("a late row on a host that others were using is unknown; a lost one still fails", () => {
    const { of } = judged((record) => {
      record.host.duringRun.foreignCpuShare = 0.6;
      const effects = table(record, "effects");
      effects.asSentCommittedMs = effects.asSentCommittedMs.map((at) => (at ?? 0) + 2_000);
      removeRow(effects, 10);
    });
    expect(of("fresh").verdict).toBe("unknown");
    expect(of("fresh").detail).toContain("other programs used 60 %");
    expect(of("lossless").verdict).toBe("fail");
  });
});

describe("a broker that was late itself", () => {
  /** One event in `oneIn` of those sent before `untilMs` is acknowledged this much later. */
  const lateBroker = (
    { ledger }: RunRecord,
    byMs: number,
    oneIn = 50,
    untilMs = Number.POSITIVE_INFINITY,
  ) => {
    for (let i = 0; i < ledger.ackedMs.length; i += oneIn)
      if ((ledger.sentMs[i] ?? 0) < untilMs) ledger.ackedMs[i] = (ledger.ackedMs[i] ?? 0) + byMs;
  };
  const lateRows = (record: RunRecord) => {
    const times = table(record, "effects").asSentCommittedMs;
    for (let i = 0; i < times.length; i += 50) times[i] = (times[i] ?? 0) + 1_500;
  };
  const fresh = (plant: (record: RunRecord) => void) =>
    judged((record) => {
      lateRows(record);
      plant(record);
    }).of("fresh");

  test("a failure in time is unknown, and says how late the broker was", () => {
    const verdict = fresh((record) => lateBroker(record, 400));
    expect(verdict.verdict).toBe("unknown");
    expect(verdict.detail).toContain("the broker itself took 401 ms to accept 1 of 100 events");
  });

  test("one event in a thousand, or a tenth of a second, excuses nothing", () => {
    expect(fresh((record) => lateBroker(record, 400, 1_000)).verdict).toBe("fail");
    expect(fresh((record) => lateBroker(record, 99)).verdict).toBe("fail");
  });

  test("what was late in a lab's warm-up, or met a fault, excuses nothing", () => {
    const early = (record: RunRecord) => lateBroker(record, 400, 2, 1_000);
    expect(fresh(early).verdict).toBe("unknown");
    const inWarmUp = fresh((record) => {
      early(record);
      record.phases.push({ name: "warm-up", startMs: 0, endMs: 1_000, perSecond: 1_000 });
    });
    expect(inWarmUp.verdict).toBe("fail");
    const inFault = fresh((record) => {
      early(record);
      record.faults.push({ name: "cut", kind: "cut", startMs: 0, healMs: 500, clearMs: 1_500 });
    });
    expect(inFault.verdict).toBe("fail");
  });

  test("does not excuse what no broker explains: lost rows, and a worker that did a fifth of the load", () => {
    const { of } = judged((record) => {
      lateBroker(record, 400);
      removeRow(table(record, "effects"), 10);
      slowDown(record, 0.2);
    });
    expect(of("lossless").verdict).toBe("fail");
    expect(of("keeps-up").verdict).toBe("fail");
  });

  test("leaves a pass a pass", () => {
    const { not } = judged((record) => lateBroker(record, 400));
    expect(not("pass")).toEqual([]);
  });
});

test("a worker that did a fifth of the load fails keeps-up on any host; one that did most of it only on a fit one", () => {
  const keepsUp = (share: number, foreignCpuShare: number) =>
    judged((record) => {
      record.host.duringRun.foreignCpuShare = foreignCpuShare;
      slowDown(record, share);
    }).of("keeps-up").verdict;
  expect(keepsUp(0.2, 0.6)).toBe("fail");
  expect(keepsUp(0.4, 0.6)).toBe("unknown");
  expect(keepsUp(0.4, 0)).toBe("fail");
});

test("a backlog that was not read fails lossless on a fit host, and decides nothing on an unfit one", () => {
  const unread = (foreignCpuShare: number) =>
    judged((record) => {
      record.host.duringRun.foreignCpuShare = foreignCpuShare;
      record.settled.drained = false;
      const effects = table(record, "effects");
      const last = record.commitSamples.at(-1);
      for (let i = 0; i < 100; i += 1) {
        const message = removeRow(effects, effects.asSent.length - 1);
        const partition = record.ledger.partition[message] ?? 0;
        if (last)
          last.committed[partition] = Math.min(
            last.committed[partition] ?? 0,
            record.ledger.offset[message] ?? 0,
          );
      }
    }).of("lossless");
  expect(unread(0)).toMatchObject({ verdict: "fail", measured: 100 });
  expect(unread(0).detail).toContain("100 not yet committed");
  expect(unread(0.7).verdict).toBe("unknown");
});

test("a load that the harness ended because the worker had died is judged up to that moment", () => {
  const { of, verdict } = judged((record) => {
    const { ledger } = record;
    ledger.stoppedMs = 2_300;
    const [first] = record.workers;
    if (first?.exit) first.exit = { atMs: 2_290, code: 1, signal: null, planned: false, tail: "boom" };
    for (const [i, at] of ledger.sentMs.entries()) {
      if (at <= 2_300) continue;
      ledger.sentMs[i] = -1;
      ledger.ackedMs[i] = -1;
      ledger.offset[i] = -1;
    }
    ledger.endOffsets = [0, 1].map(
      (p) => ledger.offset.filter((o, i) => o >= 0 && ledger.partition[i] === p).length,
    );
  });
  expect(of("load-offered").verdict).toBe("pass");
  expect(of("poison-contained").verdict).toBe("fail");
  expect(verdict.verdict).toBe("fail");
});

test("a record of another load is refused with the reason", () => {
  const record = healthyRecord();
  record.ledger.planned = 3;
  expect(() => judge(record, testLab)).toThrow("the lab has changed since this run");
});
