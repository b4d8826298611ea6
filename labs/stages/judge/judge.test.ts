import { describe, expect, test } from "vitest";
import { type DrillRecord, drillRecordSchema, recordVersion } from "../../../harness/record/record.ts";
import { judgeDrill, readDrillEvidence } from "../../../harness/verdict/judge.ts";
import { healthyRecord } from "../../../harness/verdict/testing.ts";
import lab from "../lab.ts";
import { charts } from "./charts.ts";
import type { Seen, SeenRound } from "./observe.ts";
import { keyOf, type Round, roundsOf } from "./rounds.ts";

const unit = 60;
const maxDemand = 8;
const { seed } = healthyRecord();

/** A round played by a dispatcher that is as good as can be: one event at a time, to whoever is free first. */
function play(round: Round, startMs: number): SeenRound {
  const free = round.workMs.map(() => startMs);
  const handled: SeenRound["handled"] = { consumer: [], event: [], fromMs: [], toMs: [] };
  const asks: SeenRound["asks"] = [{ atMs: startMs, count: 1, given: 1 }];
  const work = (consumer: number, event: number, notBefore: number) => {
    const fromMs = Math.max(notBefore, free[consumer] ?? 0);
    const toMs = fromMs + (round.workMs[consumer] ?? 0);
    free[consumer] = toMs;
    handled.consumer.push(consumer);
    handled.event.push(event);
    handled.fromMs.push(fromMs);
    handled.toMs.push(toMs);
  };
  for (let event = 0; event < round.events; event += 1) {
    const first = free.indexOf(Math.min(...free));
    if (round.dispatch === "broadcast") {
      const together = Math.max(...free);
      for (const consumer of round.workMs.keys()) work(consumer, event, together);
    } else if (round.dispatch === "partition") {
      work(Number(keyOf(seed, event).slice(4)) % round.workMs.length, event, startMs);
    } else {
      work(first, event, startMs);
    }
  }
  return { name: round.name, startMs, endMs: Math.max(...free) + 5, finished: true, asks, handled };
}

type Planted = DrillRecord & { drill: Seen };

function recordOf(): Planted {
  const rounds: SeenRound[] = [];
  for (const round of roundsOf(unit)) rounds.push(play(round, rounds.at(-1)?.endMs ?? 0));
  const base = healthyRecord();
  return {
    version: recordVersion,
    lab: "stages",
    subject: { name: "solution", command: ["simulated"] },
    profile: "quick",
    seed,
    startedAt: base.startedAt,
    finishedMs: rounds.at(-1)?.endMs ?? 0,
    command: "simulated",
    stack: { kind: "none", why: "simulated", versions: {}, limits: [] },
    parameters: { unit, maxDemand, minDemand: 4, roundDeadlineMs: 10_000 },
    host: base.host,
    phases: rounds.map(({ name, startMs, endMs }) => ({ name, startMs, endMs, perSecond: 1 })),
    faults: [],
    workers: [],
    settled: { atMs: rounds.at(-1)?.endMs ?? 0, drained: true },
    drill: { rounds },
  };
}

function judged(plant: (rounds: Record<string, SeenRound>, record: Planted) => void = () => undefined) {
  const record = recordOf();
  plant(Object.fromEntries(record.drill.rounds.map((round) => [round.name, round])), record);
  const evidence = readDrillEvidence(record, lab);
  const verdict = judgeDrill(evidence, lab);
  const of = (id: string) => verdict.criteria.find((one) => one.id === id);
  const which = (wanted: string) =>
    verdict.criteria.filter((one) => one.verdict === wanted).map(({ id }) => id);
  return { of, which, evidence };
}

test("rounds in which everybody gets what he can do pass every criterion", () => {
  const { which } = judged();
  expect(which("fail")).toEqual([]);
  expect(which("unknown")).toEqual([]);
  expect(which("pass").length).toBe(lab.criteria.length);
});

test("the record survives being written and read, and the charts name criteria that exist", () => {
  const record = recordOf();
  expect(drillRecordSchema.parse(JSON.parse(JSON.stringify(record)))).toEqual(record);
  const ids = lab.criteria.map(({ id }) => id);
  for (const chart of charts(judged().evidence))
    expect(ids).toEqual(expect.arrayContaining([...chart.criteria]));
});

describe("one planted fault is found by its own criterion", () => {
  test("an event that nobody handled fails lossless, and so does one handled twice", () => {
    const lost = judged(({ three }) => {
      for (const column of Object.values(three?.handled ?? {})) column.splice(20, 1);
    });
    expect(lost.which("fail")).toEqual(["lossless"]);
    expect(lost.of("lossless")?.offending).toEqual(["round three: event 20 was handled 0 times"]);
    const twice = judged(({ one }) => {
      if (one) one.handled.event[1] = 0;
    });
    expect(twice.of("lossless")?.offending).toEqual([
      "round one: event 0 was handled 2 times",
      "round one: event 1 was handled 0 times",
    ]);
  });

  test.each([2 ** 60, -1, 1e300])(
    "event %d, which there is not, fails lossless in place of the one it stands for",
    (number) => {
      const { which, of, evidence } = judged(({ one }) => {
        if (one) one.handled.event[59] = number;
      });
      expect(which("fail")).toContain("lossless");
      expect(of("lossless")?.offending).toEqual([
        `round one: there is no event ${number}`,
        "round one: event 59 was handled 0 times",
      ]);
      expect(() => charts(evidence)).not.toThrow();
    },
  );

  test("a round that never ended fails lossless, and leaves undecided what it was to show", () => {
    const { which } = judged((rounds, record) => {
      if (rounds.broadcast) rounds.broadcast.finished = false;
      record.drill.rounds.splice(4);
    });
    expect(which("fail")).toEqual(["lossless"]);
    expect(which("unknown")).toEqual(["every-event-to-every-subscriber", "order-per-partition"]);
  });

  test("asking for one event more than may be held fails demand-bounded", () => {
    const { which, of } = judged(({ one }) => {
      one?.asks.push({ atMs: one.startMs, count: maxDemand, given: 0 });
    });
    expect(which("fail")).toEqual(["demand-bounded"]);
    expect(of("demand-bounded")?.offending?.[0]).toContain("round one: 9 at 0.00 s, 8 may be");
  });

  test("asking for all there can be fails demand-bounded", () => {
    const { which } = judged(({ one }) => {
      one?.asks.push({ atMs: one.startMs, count: Number.MAX_SAFE_INTEGER, given: 0 });
      one?.asks.push({ atMs: one.startMs, count: Number.MAX_SAFE_INTEGER, given: 0 });
    });
    expect(which("fail")).toEqual(["demand-bounded"]);
  });

  test("in a broadcast an event counts as done when the slowest has it", () => {
    const { which } = judged(({ broadcast }) => {
      // When the fast ones are done with the first event, and the slow one is not.
      broadcast?.asks.push({ atMs: broadcast.startMs + 6, count: maxDemand, given: 0 });
    });
    expect(which("fail")).toEqual(["demand-bounded"]);
  });

  test("two pieces of work at once fail one-at-a-time", () => {
    const { which } = judged(({ one }) => {
      if (one) one.handled.fromMs[3] = (one.handled.fromMs[3] ?? 0) - 3;
    });
    expect(which("fail")).toEqual(["one-at-a-time"]);
  });

  test("a consumer that gets half of what the others get fails fair-share", () => {
    const { of } = judged(({ three }) => {
      if (three)
        three.handled.consumer = three.handled.consumer.map((who, i) => (who === 2 && i % 2 === 0 ? 0 : who));
    });
    expect(of("fair-share")?.verdict).toBe("fail");
  });

  test("a round at the pace of the slowest fails slow-holds-up-nobody", () => {
    const { of } = judged(({ slow }) => {
      if (slow) slow.handled.toMs = slow.handled.toMs.map((at) => slow.startMs + 4 * (at - slow.startMs));
    });
    expect(of("slow-holds-up-nobody")).toMatchObject({ verdict: "fail", inexcusable: true });
  });

  test("a round that is too long where one consumer alone was too decides nothing", () => {
    const round = (shareAlone: number) =>
      judged(({ slow, one }) => {
        if (slow === undefined || one === undefined) throw new Error("no such round");
        slow.handled.toMs = slow.handled.toMs.map((at) => slow.startMs + 1.6 * (at - slow.startMs));
        one.endMs = one.startMs + shareAlone * (one.endMs - one.startMs);
      }).of("slow-holds-up-nobody");
    expect(round(1.4)).toMatchObject({ verdict: "unknown" });
    expect(round(1)).toMatchObject({ verdict: "fail" });
  });

  test("a subscriber that missed an event fails every-event-to-every-subscriber", () => {
    const { which } = judged(({ broadcast }) => {
      for (const column of Object.values(broadcast?.handled ?? {})) column.splice(-1, 1);
    });
    expect(which("fail")).toEqual(["every-event-to-every-subscriber"]);
  });

  test("an event with another consumer than the one of its key fails order-per-partition", () => {
    const { of } = judged(({ partition }) => {
      if (partition) partition.handled.consumer[30] = ((partition.handled.consumer[30] ?? 0) + 1) % 3;
    });
    expect(of("order-per-partition")?.verdict).toBe("fail");
    expect(of("order-per-partition")?.offending?.[0]).toMatch(/^key-\d+: event \d+ went to consumer/);
  });
});
