import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RunRecord } from "../record/record.ts";
import { backoffTestLab, type SimulatedWorker, simulateRetries } from "./backoff-testing.ts";
import { readEvidence } from "./evidence.ts";
import { fitGrowth } from "./growth.ts";
import { judge } from "./judge.ts";
import { retriesOf } from "./retries.ts";
import { survivalOf } from "./retry-outcome.ts";

function judged(change: Partial<SimulatedWorker> = {}, plant: (record: RunRecord) => void = () => undefined) {
  const record = simulateRetries(change);
  plant(record);
  const verdict = judge(record, backoffTestLab);
  const of = (id: string) => {
    const found = verdict.criteria.find((one) => one.id === id);
    if (found === undefined) throw new Error(`no criterion ${id}`);
    return found;
  };
  const not = (which: string) => verdict.criteria.filter((one) => one.verdict !== which).map(({ id }) => id);
  return { verdict, of, not };
}

/** A host on which no time proves anything. */
function unfit({ host }: RunRecord): void {
  host.calibration.cpuShare = 0.3;
}
const letters = (record: RunRecord) => record.tables.find(({ name }) => name === "letters")?.others ?? [];

test("a worker that keeps every promise passes, and the report has its numbers", () => {
  const { verdict, of, not } = judged();
  expect(not("pass")).toEqual([]);
  expect(verdict.verdict).toBe("pass");
  expect(of("cadence").detail).toContain("late by 3.0 ms in the median, 3.0 ms at p99");
  expect(of("exponential").detail).toMatch(
    /Fitted factor 1\.99\d, 95 % confidence interval 1\.99\d to 1\.99\d/,
  );
  expect(of("durable").detail).toMatch(
    /restart of redis at 4\.5 s: [1-4]\d\d waited, 0 lost, 0 earlier, 0 counted anew/,
  );
  for (const one of verdict.criteria) expect(one.samples, one.id).toBeGreaterThan(0);
});

describe("cadence", () => {
  test("a wait that is too short fails on any host, and is named with what it was to be", () => {
    const { of } = judged({ waitMs: () => 0 }, unfit);
    expect(of("cadence").verdict).toBe("fail");
    expect(of("cadence").offending?.[0]).toMatch(/waited \d ms after attempt 1 .* was to wait 60 to/);
  });

  test("a wait that a late gateway saw shortened is not too short; one it saw in time is", () => {
    const withLeavesLate = (endLateMs: number) =>
      judged({}, (record) => {
        const attempts = record.arms?.[0]?.record.gateway?.attempts;
        if (attempts?.leftMs === undefined) throw new Error("nobody left");
        attempts.leftMs = attempts.leftMs.map((at) => (at === null ? null : at + 100));
        attempts.endLateMs = attempts.leftMs.map((at) => (at === null ? 0 : endLateMs));
      }).of("cadence");
    expect(withLeavesLate(100).verdict).toBe("pass");
    expect(withLeavesLate(80)).toMatchObject({ verdict: "fail", inexcusable: true });
  });

  test("a wait that is too long fails on a fit host, and decides nothing on another", () => {
    expect(judged({ lateMs: 400 }).of("cadence").verdict).toBe("fail");
    expect(judged({ lateMs: 400 }, unfit).of("cadence").verdict).toBe("unknown");
  });

  test("one in 100 may be late; a few more decide nothing, and more than chance can bring fail", () => {
    const withLate = (count: (timely: number) => number) =>
      judged({}, (record) => {
        const attempts = record.gateway?.attempts;
        const { chains, waits } = retriesOf(readEvidence(simulateRetries(), backoffTestLab));
        const timely = waits.filter(({ disturbed }) => !disturbed);
        // Behind the faults, and nothing follows them that would come too soon.
        const last = timely
          .toSorted((a, b) => b.toMs - a.toMs)
          .filter(({ message, attempt }) =>
            chains.some((one) => one.message === message && one.calls.length === attempt + 1),
          );
        for (const { message, toMs } of last.slice(0, count(timely.length))) {
          const i = attempts?.message.findIndex(
            (one, at) => one === message && attempts.arrivedMs[at] === toMs,
          );
          if (attempts === undefined || i === undefined) throw new Error("no such call");
          attempts.arrivedMs[i] = toMs + 2_000;
          attempts.answeredMs[i] = toMs + 2_001;
        }
      }).of("cadence");
    const excused = (timely: number) => Math.floor(timely / 100);
    expect(withLate(excused)).toMatchObject({ verdict: "pass" });
    expect(withLate((timely) => excused(timely) + 1)).toMatchObject({ verdict: "unknown" });
    expect(withLate((timely) => excused(timely) + 2 + Math.floor(3 * Math.sqrt(timely / 100)))).toMatchObject(
      {
        verdict: "fail",
        inexcusable: false,
      },
    );
  });

  test("waits that one standstill made late decide nothing, however many they are", () => {
    const stoodStill = (untilMs: number) =>
      judged({}, (record) => {
        const attempts = record.gateway?.attempts;
        const { waits } = retriesOf(readEvidence(simulateRetries(), backoffTestLab));
        for (const { message, fromMs, toMs, idealMs, disturbed } of waits) {
          const dueMs = fromMs + idealMs;
          if (disturbed || dueMs < 6_500 || dueMs > untilMs - 250) continue;
          if (attempts === undefined) throw new Error("no gateway");
          for (const [at, one] of attempts.message.entries()) {
            const arrivedMs = attempts.arrivedMs[at] ?? 0;
            if (one !== message || arrivedMs < toMs) continue;
            // What follows is later by as much.
            attempts.arrivedMs[at] = arrivedMs + untilMs - toMs;
            attempts.answeredMs[at] = arrivedMs + untilMs - toMs + 2;
          }
        }
      }).of("cadence");
    const { verdict, detail } = stoodStill(6_980);
    expect(verdict, detail).toBe("unknown");
    expect(detail).toContain("one or two standstills");
    expect(Number(/^(\d+) waits too long/.exec(detail)?.[1])).toBeGreaterThan(13);
    expect(stoodStill(7_500).verdict).toBe("fail");
  });

  test("a wait through a fault may be longer", () => {
    const { waits } = retriesOf(readEvidence(simulateRetries(), backoffTestLab));
    expect(waits.filter(({ disturbed }) => disturbed).length).toBeGreaterThan(100);
    expect(judged().of("cadence").measured).toBe(0);
  });

  test("for a call without an answer the wait counts from when the caller gave up", () => {
    const { chains } = retriesOf(readEvidence(simulateRetries(), backoffTestLab));
    const silent = chains.filter(({ calls }) => calls[0]?.status === 0);
    expect(silent.length).toBeGreaterThan(5);
    for (const { calls } of silent) expect((calls[0]?.endedMs ?? 0) - (calls[0]?.arrivedMs ?? 0)).toBe(400);
  });
});

describe("exponential", () => {
  const linear: SimulatedWorker["waitMs"] = ({ baseMs, capMs, jitter }, attempt, random) =>
    Math.min(capMs, baseMs * attempt) * (1 - jitter * random());

  test("linear growth fails on any host", () => {
    expect(judged({ waitMs: linear }).of("exponential").verdict).toBe("fail");
    expect(judged({ waitMs: linear, lateMs: 100 }, unfit).of("exponential").verdict).toBe("fail");
  });

  test("exponential growth on a slow host decides nothing", () => {
    expect(judged({ lateMs: 300 }, unfit).of("exponential").verdict).toBe("unknown");
  });

  test("a curve that only those bend that were held up decides nothing", () => {
    const bent: SimulatedWorker["waitMs"] = ({ baseMs, factor, capMs, jitter }, attempt, random) =>
      Math.min(capMs, baseMs * factor ** (attempt - 1)) * (1 - jitter * random()) +
      (attempt === 1 && random() < 0.8 ? 60 : 0);
    const { verdict, detail } = judged({ waitMs: bent }).of("exponential");
    expect(verdict, detail).toBe("unknown");
    expect(detail).toContain("The quickest tenth of them");
  });

  test("the fit finds the factor of any exponential, and its interval holds it", () => {
    const any = fc.double({ min: 1.1, max: 5, noNaN: true });
    fc.assert(
      fc.property(any, fc.double({ min: 1, max: 1_000, noNaN: true }), (factor, baseMs) => {
        const waits = [1, 2, 3, 4].map((attempt) => ({ attempt, waitMs: baseMs * factor ** (attempt - 1) }));
        const growth = fitGrowth(waits);
        expect(growth?.factor).toBeCloseTo(factor, 6);
        expect(growth?.baseMs).toBeCloseTo(baseMs, 6);
        expect(growth?.low).toBeLessThanOrEqual(factor + 1e-6);
      }),
    );
    expect(fitGrowth([1, 2].map((attempt) => ({ attempt, waitMs: attempt * 100 })))).toBeUndefined();
  });
});

/**
 * One more call for an event that has all its attempts, one of them when what a fault broke was back.
 * @param isOne how many of its calls came before that one
 */
function withCall(kind: "kill-worker" | "restart", arrivedMs: number, isOne: (earlier: number) => boolean) {
  return judged({}, (record) => {
    const attempts = record.gateway?.attempts;
    const fault = record.faults.find((one) => one.kind === kind);
    if (attempts === undefined || fault === undefined) throw new Error("no such fault");
    const callsOf = (message: number, until?: number) =>
      attempts.message.slice(0, until).filter((one) => one === message).length;
    const at = attempts.message.findIndex(
      (one, i) => attempts.arrivedMs[i] === fault.healMs && callsOf(one) === 5 && isOne(callsOf(one, i)),
    );
    if (at === -1) throw new Error("no such call");
    const call = { message: attempts.message[at], arrivedMs, answeredMs: arrivedMs + 2, status: 503 };
    for (const [name, column] of Object.entries({ ...call, leftMs: null, open: 1 }))
      attempts[name as keyof typeof attempts]?.splice(at, 0, column as never);
  });
}

describe("attempts-bounded", () => {
  test("one attempt too many fails", () => {
    const { of } = judged({ maxAttempts: 6 });
    expect(of("attempts-bounded").verdict).toBe("fail");
    expect(of("attempts-bounded").offending?.[0]).toMatch(/was tried 6 times \(at most 5\)/);
  });

  test("a call that the dying worker still made, and whose event is delivered again, is no attempt too many", () => {
    const callAt = (ms: number) => withCall("kill-worker", ms, (earlier) => earlier === 0);
    expect(callAt(2_004).of("attempts-bounded").verdict).toBe("pass");
    expect(callAt(3_001).of("attempts-bounded").verdict).toBe("fail");
  });

  test("a call that was handed out before its store died is no attempt too many, until the store is back", () => {
    const callAt = (ms: number) => withCall("restart", ms, (earlier) => earlier > 0).of("attempts-bounded");
    const { verdict, detail } = callAt(4_700);
    expect(verdict, detail).toBe("pass");
    expect(callAt(5_300).verdict).toBe("fail");
  });

  test("a refused event that is tried again fails", () => {
    const { of } = judged({}, (record) => {
      const attempts = record.gateway?.attempts;
      const at = attempts?.status.lastIndexOf(422) ?? -1;
      for (const column of Object.values(attempts ?? {})) column?.push(column[at] as never);
    });
    expect(of("attempts-bounded").offending?.[0]).toMatch(/was tried 2 times \(at most 1\)/);
  });
});

describe("outcome and lossless", () => {
  test("an event that may end in two tables is in either, and in none it is lost", () => {
    const { of } = judged({}, (record) => {
      letters(record).pop();
    });
    expect(of("lossless").verdict).toBe("fail");
    expect(of("outcome").offending?.[0]).toContain("ended nowhere");
  });

  test("an event in both tables fails", () => {
    const { of } = judged({}, (record) => {
      const effects = record.tables[0];
      const other = record.gateway?.attempts.message.find((one) => !effects?.asSent.includes(one)) ?? -1;
      effects?.asSent.push(other);
      effects?.asSentCommittedMs.push(1);
    });
    expect(of("outcome").offending?.[0]).toContain("has 1 rows in effects and 1 in letters");
  });

  test("an effect with another amount than its event's fails", () => {
    const { of, not } = judged({}, (record) => {
      const effects = record.tables[0];
      const message = effects?.asSent.shift() ?? -1;
      effects?.asSentCommittedMs.shift();
      const { eventId = null } = readEvidence(record, backoffTestLab).message(message).event ?? {};
      effects?.others.push({ values: [eventId, "1"], committedMs: 1 });
    });
    expect(not("pass")).toEqual(["outcome"]);
    expect(of("outcome").offending?.[0]).toContain('has amount_cents = "1" instead of');
  });

  test("a dead letter needs its bytes and one entry an attempt", () => {
    const spoilt = (at: number, value: string | null) =>
      judged({}, (record) => {
        const row = letters(record)[0];
        if (row !== undefined) row.values[at] = value;
      }).of("outcome").offending?.[0];
    expect(spoilt(1, "0")).toContain("with other bytes");
    expect(spoilt(2, null)).toContain("without a history");
    expect(spoilt(2, "[]")).toContain("with 0 attempts in its history");
  });

  test("an effect that the gateway never accepted fails", () => {
    const { of } = judged({}, (record) => {
      const attempts = record.gateway?.attempts;
      const once = attempts?.message.findIndex(
        (one, i) => attempts.status[i] === 200 && attempts.message.indexOf(one) === i,
      );
      if (attempts !== undefined && once !== undefined) attempts.status[once] = 503;
    });
    expect(of("outcome").offending?.[0]).toContain("the gateway never accepted it");
  });
});

describe("durable", () => {
  test("what waited at the kill and never came again is lost", () => {
    const { of } = judged({ atKill: "lost" });
    expect(of("durable").verdict).toBe("fail");
    expect(of("durable").offending?.[0]).toContain("was never tried again");
  });

  test("what waited at the kill and is counted anew shows by waits that are too short for their attempt", () => {
    const record = simulateRetries({ atKill: "counted anew" });
    expect(survivalOf(readEvidence(record, backoffTestLab))[0]?.recounted.length).toBeGreaterThan(10);
    expect(judged({ atKill: "counted anew" }).of("durable").verdict).toBe("fail");
  });

  test("an event that failed while Redis was away, and was committed meanwhile, is found", () => {
    expect(judged().of("durable").detail).toMatch(
      /[1-9]\d events failed while it was away, 0 of them were committed/,
    );
    const { of } = judged({}, (record) => {
      for (const sample of record.commitSamples) {
        if (sample.atMs > 4_500 && sample.atMs < 5_200) sample.committed = [1_200];
      }
    });
    expect(of("durable").verdict).toBe("fail");
    expect(of("durable").offending?.[0]).toContain("could be put nowhere, and was committed");
  });

  test("too few that waited prove nothing", () => {
    const { of } = judged({}, (record) => {
      record.parameters.minWaiting = 10_000;
    });
    expect(of("durable").verdict).toBe("unknown");
  });
});

describe("what retries do to others", () => {
  test("errors that go on after the brown-out fail error-rate-falls", () => {
    const { of } = judged({}, (record) => {
      const attempts = record.gateway?.attempts;
      for (const [i, at] of attempts?.arrivedMs.entries() ?? []) {
        if (at > 7_000 && attempts !== undefined) attempts.status[i] = 503;
      }
    });
    expect(of("error-rate-falls").verdict).toBe("fail");
  });

  test("one window with twice the errors of the one before is no fall; a few more than before are chance", () => {
    const failing = (share: number) =>
      judged({}, (record) => {
        const attempts = record.gateway?.attempts;
        let nth = 0;
        for (const [i, at] of attempts?.arrivedMs.entries() ?? []) {
          if (attempts === undefined || at < 7_000 || at >= 7_500 || attempts.status[i] !== 200) continue;
          nth += 1;
          if (Math.floor(nth * share) > Math.floor((nth - 1) * share)) attempts.status[i] = 503;
        }
      }).of("error-rate-falls");
    expect(failing(0.1).verdict).toBe("pass");
    expect(failing(0.8).verdict).toBe("fail");
    expect(failing(0.8).offending?.[0]).toContain("from 7.0 s on");
  });

  test("events that waited through an outage, and fail together when it is over, are not held against the worker", () => {
    const { waits } = retriesOf(readEvidence(simulateRetries(), backoffTestLab));
    const held = new Set(
      waits.filter(({ fromMs, toMs }) => fromMs < 5_200 && toMs > 4_500).map(({ message }) => message),
    );
    const others = new Set(waits.map(({ message }) => message).filter((message) => !held.has(message)));
    const failingTogether = (messages: ReadonlySet<number>) =>
      judged({}, (record) => {
        const attempts = record.gateway?.attempts;
        if (attempts === undefined) throw new Error("no gateway");
        for (const message of [...messages].slice(0, 200)) {
          const last = attempts.message.lastIndexOf(message);
          attempts.arrivedMs[last] = 7_700;
          attempts.answeredMs[last] = 7_702;
          attempts.status[last] = 503;
        }
      }).of("error-rate-falls");
    expect(failingTogether(held).verdict).toBe("pass");
    expect(failingTogether(others).verdict).toBe("fail");
  });

  test("healthy events that wait behind retries fail no-head-of-line; by seconds, on any host", () => {
    const held = (ms: number) => ({ delayMs: (dueMs: number) => (dueMs > 2_000 ? ms : 10) });
    expect(judged(held(1_300)).of("no-head-of-line").verdict).toBe("fail");
    expect(judged(held(1_300), unfit).of("no-head-of-line").verdict).toBe("unknown");
    expect(judged(held(4_000), unfit).of("no-head-of-line").verdict).toBe("fail");
  });

  test("waits without jitter fail no-herd, on any host", () => {
    const exact: SimulatedWorker["waitMs"] = ({ baseMs, factor, capMs }, attempt) =>
      Math.min(capMs, baseMs * factor ** (attempt - 1));
    const { of } = judged({ waitMs: exact }, unfit);
    expect(of("no-herd").verdict).toBe("fail");
    expect(of("no-herd").detail).toContain("chance has no part");
  });

  test("a herd without jitter that the host spread decides nothing where chance brings as many together", () => {
    const { of } = judged({}, (record) => {
      const arm = record.arms?.[0]?.record;
      const attempts = arm?.gateway?.attempts;
      if (attempts === undefined) throw new Error("no gateway");
      for (const [i, message] of attempts.message.entries()) {
        const late = (message % 4) * 60;
        attempts.arrivedMs[i] = (attempts.arrivedMs[i] ?? 0) + late;
        attempts.answeredMs[i] = (attempts.answeredMs[i] ?? 0) + late;
      }
    });
    expect(of("no-herd").verdict, of("no-herd").detail).toBe("unknown");
    expect(of("no-herd").detail).toContain("Chance alone brings up to");
  });

  test("a little jitter is too little", () => {
    const little: SimulatedWorker["waitMs"] = ({ baseMs, factor, capMs, jitter }, attempt, random) =>
      Math.min(capMs, baseMs * factor ** (attempt - 1)) * (1 - (jitter / 20) * random());
    expect(judged({ waitMs: little }).of("no-herd").verdict).toBe("fail");
  });
});

test("without its companion what compares is unknown", () => {
  const { of } = judged({}, (record) => {
    record.arms = [];
  });
  for (const id of ["exponential", "no-head-of-line", "no-herd"]) expect(of(id).verdict).toBe("unknown");
});

test("a history's times are compared as times: some languages leave a fraction of zero away", () => {
  const { of } = judged({}, (record) => {
    const long = letters(record).find(({ values }) => JSON.parse(values[2] ?? "[]").length === 5);
    const history = JSON.parse(long?.values[2] ?? "[]");
    for (const [i, second] of ["05Z", "05.240Z", "06.1Z", "07.2Z", "08.3Z"].entries())
      history[i].at = `2026-01-05T08:00:${second}`;
    if (long) long.values[2] = JSON.stringify(history);
  });
  expect(of("outcome").verdict).toBe("pass");
});

test("what an arm measured on a busy machine is not held against the worker", () => {
  const late = (busy: boolean) => (record: RunRecord) => {
    const arm = record.arms?.[0]?.record;
    if (arm?.gateway === undefined) throw new Error("no arm with a gateway");
    if (busy) arm.host.duringRun.foreignCpuShare = 0.9;
    const { attempts } = arm.gateway;
    const later = (at: number) => (at > 1_900 ? at + 1_200 : at);
    attempts.arrivedMs = attempts.arrivedMs.map(later);
    attempts.answeredMs = attempts.answeredMs.map((at) => (at === null ? null : later(at)));
    if (attempts.leftMs) attempts.leftMs = attempts.leftMs.map((at) => (at === null ? null : later(at)));
  };
  expect(judged({}, late(false)).of("no-head-of-line").verdict).toBe("fail");
  expect(judged({}, late(true)).of("no-head-of-line").verdict).toBe("unknown");
});
