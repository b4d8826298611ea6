import { describe, expect, test } from "vitest";
import type { RunRecord } from "../record/record.ts";
import { recordSchema } from "../record/record.ts";
import { backpressureTestLab, type SimulatedWorker, simulate } from "./backpressure-testing.ts";
import { readEvidence } from "./evidence.ts";
import { flowOf } from "./flow.ts";
import { judge } from "./judge.ts";
import type { CriterionVerdict } from "./verdict.ts";

function judged(worker: Partial<SimulatedWorker> = {}, plant: (record: RunRecord) => void = () => undefined) {
  const record = simulate(worker);
  plant(record);
  const verdict = judge(record, backpressureTestLab);
  const of = (id: string): CriterionVerdict => {
    const found = verdict.criteria.find((one) => one.id === id);
    if (found === undefined) throw new Error(`no criterion ${id}`);
    return found;
  };
  const which = (wanted: string) =>
    verdict.criteria.filter((one) => one.verdict === wanted).map(({ id }) => id);
  return { of, which, verdict };
}

function gatewayOf(record: RunRecord) {
  if (record.gateway === undefined) throw new Error("no gateway");
  return record.gateway;
}

test("a worker that pulls what it has places for passes every criterion", () => {
  const { which, verdict } = judged();
  expect(which("fail")).toEqual([]);
  expect(which("unknown")).toEqual([]);
  for (const { threshold, samples, measured } of verdict.criteria) {
    expect(threshold).toMatch(/^(>=|<=|<|=) \d/);
    expect(samples).toBeGreaterThan(0);
    expect(measured).not.toBeNull();
  }
});

test("a record with a gateway survives being written and read", () => {
  const record = simulate();
  expect(recordSchema.parse(JSON.parse(JSON.stringify(record)))).toEqual(record);
});

test("saturated steps are told from those in which the load decides", () => {
  const { steps } = flowOf(readEvidence(simulate(), backpressureTestLab));
  expect(steps.map(({ saturated }) => saturated)).toEqual([false, true, true, true, true, true]);
  expect(steps.map(({ capacityPerSecond = 0 }) => Math.round(capacityPerSecond))).toEqual([
    182, 77, 39, 20, 8, 182,
  ]);
  expect(steps[0]?.finished.perSecond).toBeCloseTo(150, -1);
});

describe("one planted fault is found by its own criterion", () => {
  test("an unbounded buffer fails bounded-memory, bounded-in-flight, pull-rate-falls and pull-matches-finish", () => {
    const { of, which } = judged({ maxInFlight: 1e6 });
    expect(which("fail")).toEqual([
      "pull-rate-falls",
      "pull-matches-finish",
      "bounded-in-flight",
      "bounded-memory",
    ]);
    expect(of("pull-matches-finish").measured).toBeGreaterThan(100);
    expect(of("bounded-in-flight").measured).toBeGreaterThan(1_000);
    expect(of("pull-rate-falls").offending?.length).toBe(4);
  });

  test("memory that grows with the backlog though little was pulled fails bounded-memory alone", () => {
    expect(judged({ memoryFactor: 100 }).which("fail")).toEqual(["bounded-memory"]);
  });

  test("one call too many fails bounded-concurrency, and says when", () => {
    const { of, which } = judged({}, (record) => {
      gatewayOf(record).attempts.open[700] = 5;
    });
    expect(which("fail")).toEqual(["bounded-concurrency"]);
    expect(of("bounded-concurrency")).toMatchObject({ measured: 5, threshold: "<= 4" });
  });

  test("more calls than places fail bounded-concurrency, and nothing else is failed for being fast", () => {
    expect(judged({ places: 64, maxInFlight: 64 }).which("fail")).toContain("bounded-concurrency");
  });

  test("a fixed throttle fails rate-matches-capacity in the steps where it is too slow", () => {
    const { of, which } = judged({ gapMs: 40 });
    expect(which("fail")).toContain("rate-matches-capacity");
    expect(of("rate-matches-capacity").offending?.[0]).toContain("25/s were finished; the places allow");
  });

  test("a rate above what so many places could do at no overhead at all fails rate-matches-capacity too", () => {
    const { of } = judged({}, (record) => {
      record.parameters.workerConcurrency = 2;
    });
    expect(of("rate-matches-capacity").verdict).toBe("fail");
  });

  test("a reference caller that paid more than the worker did decides nothing, unless a step is too slow even so", () => {
    const dear = (record: RunRecord) => {
      const { reference } = gatewayOf(record);
      if (reference) reference.overheadMs = reference.overheadMs.map(() => 15);
    };
    const { of } = judged({}, dear);
    expect(of("rate-matches-capacity").verdict).toBe("unknown");
    expect(of("rate-matches-capacity").detail).toContain("cost more than the worker's own");
    expect(judged({ gapMs: 40 }, dear).of("rate-matches-capacity").verdict).toBe("fail");
  });

  test("places that stand empty fail rate-matches-capacity, also where the host takes much of each call", () => {
    // Recovery is asked for the first step's capacity too.
    expect(judged({ idleMs: 14 }).which("fail")).toEqual(["rate-matches-capacity", "recovers"]);
    const busy = judged({ idleMs: 14, hostMs: 12 }).of("rate-matches-capacity");
    expect(busy.verdict).toBe("fail");
    // 4 places, 50 ms of work, 12 ms of the host's.
    expect(busy.offending?.[0]).toContain("the places allow 65/s");
  });

  test("a fixed throttle is not excused by a host that takes much of each call", () => {
    expect(judged({ gapMs: 40, hostMs: 12 }).of("rate-matches-capacity").verdict).toBe("fail");
  });

  test("an event that was dropped and committed fails lossless, and is named as lost for good", () => {
    const { of, which } = judged({}, (record) => {
      gatewayOf(record).attempts.status[300] = 0;
    });
    expect(which("fail")).toEqual(["lossless"]);
    expect(of("lossless").detail).toContain("1 of them below the committed offset: lost for good");
  });

  test("a call for an event that was never sent fails lossless", () => {
    const { of } = judged({}, (record) => {
      const { attempts, strangers } = gatewayOf(record);
      attempts.message.push(-1);
      attempts.arrivedMs.push(100);
      attempts.answeredMs.push(120);
      attempts.status.push(200);
      attempts.open.push(1);
      strangers.push("who");
    });
    expect(of("lossless")).toMatchObject({ verdict: "fail", measured: 1 });
    expect(of("lossless").offending?.[0]).toContain('"who"');
  });

  test("a member with a new id fails no-rebalance, and so does a group that is not stable", () => {
    const changed = judged({}, (record) => {
      for (const one of record.groupSamples?.slice(200) ?? []) one.members = ["w1-b"];
    });
    const unsettled = judged({}, (record) => {
      const one = record.groupSamples?.[200];
      if (one) one.state = "PreparingRebalance";
    });
    for (const { of, which } of [changed, unsettled]) {
      expect(which("fail")).toEqual(["no-rebalance"]);
      expect(of("no-rebalance")).toMatchObject({ measured: 1 });
      expect(of("no-rebalance").offending?.[0]).toContain("at 20.0 s");
    }
  });

  test("a rate that does not come back fails recovers; so does a backlog that does not drain", () => {
    const slow = judged({}, (record) => {
      const { attempts } = gatewayOf(record);
      const from = record.phases.at(-1)?.startMs ?? 0;
      attempts.answeredMs = attempts.answeredMs.map((at, i) =>
        at !== null && (attempts.arrivedMs[i] ?? 0) > from ? at + (at - from) : at,
      );
    });
    expect(slow.of("recovers")).toMatchObject({ verdict: "fail", measured: null });
    const stuck = judged({}, (record) => {
      record.settled.drained = false;
    });
    expect(stuck.of("recovers").verdict).toBe("fail");
    expect(stuck.of("recovers").detail).toContain("had not drained");
  });
});

describe("what a call costs is what it cost a caller of the harness's own, at that time", () => {
  const withoutReference = (record: RunRecord) => {
    delete gatewayOf(record).reference;
  };

  test("a host that takes more of each call than before the load is not held against the worker", () => {
    const { of } = judged({ hostMs: 12 });
    expect(of("rate-matches-capacity")).toMatchObject({ verdict: "pass", samples: 4 });
    expect(of("rate-matches-capacity").measured).toBeLessThan(3);
    expect(of("rate-matches-capacity").detail).toContain("(12.0 ± 1.4 ms overhead, 30 calls)");
    expect(of("recovers").verdict).toBe("pass");
    // By the overhead before the load the same worker would fail.
    expect(judged({ hostMs: 12 }, withoutReference).of("rate-matches-capacity").verdict).toBe("fail");
  });

  test("a record from before there was a reference caller is judged by the overhead before the load", () => {
    const { which, of } = judged({}, withoutReference);
    expect(which("pass").length).toBe(10);
    expect(of("rate-matches-capacity").detail).not.toContain("overhead");
  });

  test("one stall of the reference caller decides nothing", () => {
    const { of } = judged({}, (record) => {
      const { reference } = gatewayOf(record);
      if (reference) reference.overheadMs[60] = 900;
    });
    expect(of("rate-matches-capacity").measured).toBeLessThan(3);
  });

  test("too few calls of it in a step: unknown, unless another step decides", () => {
    const silentFrom = (name: string) => (record: RunRecord) => {
      const { startMs = 0, endMs = 0 } = record.phases.find((one) => one.name === name) ?? {};
      const { reference } = gatewayOf(record);
      if (reference === undefined) return;
      const kept = reference.atMs.map((at) => at < startMs || at >= endMs - 500);
      reference.atMs = reference.atMs.filter((_, i) => kept[i]);
      reference.overheadMs = reference.overheadMs.filter((_, i) => kept[i]);
    };
    const unknown = judged({}, silentFrom("100 ms"));
    expect(unknown.which("unknown")).toEqual(["rate-matches-capacity"]);
    expect(unknown.of("rate-matches-capacity").detail).toContain("only 5 calls");
    const decided = judged({ gapMs: 40 }, silentFrom("100 ms"));
    expect(decided.of("rate-matches-capacity").verdict).toBe("fail");
  });
});

describe("a run that proved nothing is unknown", () => {
  test("without a backlog there is no memory, no capacity and no recovery to judge", () => {
    const { which } = judged({ places: 200, maxInFlight: 300 });
    expect(which("unknown")).toEqual(
      expect.arrayContaining(["rate-matches-capacity", "bounded-memory", "recovers"]),
    );
  });

  test("a smaller backlog than the lab's leaves bounded-memory undecided", () => {
    const { of } = judged({}, (record) => {
      record.parameters.backlogBytes = 50_000_000;
    });
    expect(of("bounded-memory")).toMatchObject({ verdict: "unknown", measured: 0 });
    expect(of("bounded-memory").detail).toContain("less than the 50 MB");
  });

  test("where events could not be counted, bytes tell them", () => {
    const uncounted = (record: RunRecord) => {
      for (const sample of record.linkSamples) delete sample.fetchedEvents;
    };
    expect(judged({}, uncounted).verdict.verdict).toBe("pass");
    const { of } = judged({ maxInFlight: 2_000 }, uncounted);
    expect(of("bounded-in-flight").verdict).toBe("fail");
    expect(of("pull-rate-falls").verdict).toBe("fail");
  });

  test("too much in flight fails on any host when it was counted, and decides nothing when bytes told it", () => {
    const busy = (record: RunRecord) => {
      record.host.duringRun.foreignCpuShare = 0.7;
    };
    expect(judged({ maxInFlight: 2_000 }, busy).of("bounded-in-flight").verdict).toBe("fail");
    const { of } = judged({ maxInFlight: 2_000 }, (record) => {
      busy(record);
      for (const sample of record.linkSamples) delete sample.fetchedEvents;
    });
    expect(of("bounded-in-flight").verdict).toBe("unknown");
  });

  test("without a proxy nothing is known of what was pulled", () => {
    const { of } = judged({}, (record) => {
      record.linkSamples = [];
    });
    expect(of("pull-rate-falls").verdict).toBe("unknown");
    expect(of("bounded-in-flight").verdict).toBe("unknown");
  });

  test("a group that gathers its members while the worker warms up has not rebalanced", () => {
    const { of } = judged({}, (record) => {
      const [first] = record.phases;
      if (first) first.name = "warm-up";
      for (const one of record.groupSamples?.filter(({ atMs }) => atMs < 1_000) ?? []) one.members = ["w1-b"];
    });
    expect(of("no-rebalance").verdict).toBe("pass");
  });

  test("too few looks at the group", () => {
    const { of } = judged({}, (record) => {
      record.groupSamples = record.groupSamples?.slice(0, 5) ?? [];
    });
    expect(of("no-rebalance").verdict).toBe("unknown");
  });

  test("a tenth of what is possible, and a lost session on a host whose loop ran, are no host's doing", () => {
    const { of } = judged({ gapMs: 400 }, (record) => {
      record.host.duringRun.foreignCpuShare = 0.7;
      const one = record.groupSamples?.[200];
      if (one) one.members = ["w1-b"];
    });
    expect(of("rate-matches-capacity").verdict).toBe("fail");
    expect(of("no-rebalance").verdict).toBe("fail");
    const starved = judged({}, (record) => {
      record.host.duringRun.foreignCpuShare = 0.7;
      record.host.duringRun.eventLoopDelayMs.max = 2_000;
      const one = record.groupSamples?.[200];
      if (one) one.members = ["w1-b"];
    });
    expect(starved.of("no-rebalance").verdict).toBe("unknown");
  });

  test("on a host that others use, what depends on time is not held against the worker; what does not, is", () => {
    const { of } = judged({ gapMs: 40, places: 6 }, (record) => {
      record.host.duringRun.foreignCpuShare = 0.7;
      gatewayOf(record).attempts.open[700] = 6;
    });
    expect(of("rate-matches-capacity").verdict).toBe("unknown");
    expect(of("bounded-concurrency").verdict).toBe("fail");
  });
});
