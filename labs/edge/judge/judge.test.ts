import { describe, expect, test } from "vitest";
import { type DrillRecord, drillRecordSchema } from "../../../harness/record/record.ts";
import { judgeDrill, readDrillEvidence } from "../../../harness/verdict/judge.ts";
import lab from "../lab.ts";
import { charts } from "./charts.ts";
import type { Seen } from "./observe.ts";
import { type SimulatedEdge, simulate } from "./testing.ts";

type Planted = DrillRecord & { drill: Seen };

function judged(edge: Partial<SimulatedEdge> = {}, plant: (record: Planted) => void = () => undefined) {
  const record = simulate(edge);
  plant(record);
  const evidence = readDrillEvidence(record, lab);
  const verdict = judgeDrill(evidence, lab);
  const of = (id: string) => verdict.criteria.find((one) => one.id === id);
  const which = (wanted: string) =>
    verdict.criteria.filter((one) => one.verdict === wanted).map(({ id }) => id);
  return { of, which, verdict, evidence };
}

/** Index of a request with this status, well before the kill. */
const first = ({ drill: { requests } }: Planted, status: number, from = 0) =>
  requests.status.findIndex((one, i) => one === status && (requests.sentMs[i] ?? 0) >= from);

test("an edge that takes in what it can store and refuses the rest passes every criterion", () => {
  const { which, verdict } = judged();
  expect(which("fail")).toEqual([]);
  expect(which("unknown")).toEqual([]);
  for (const { threshold, samples, measured } of verdict.criteria) {
    expect(threshold).toMatch(/^(>=|<=|<|=) \d/);
    expect(samples).toBeGreaterThan(0);
    expect(measured).not.toBeNull();
  }
});

test("its record survives being written and read, and its charts name criteria that exist", () => {
  const record = simulate();
  expect(drillRecordSchema.parse(JSON.parse(JSON.stringify(record)))).toEqual(record);
  const ids = lab.criteria.map(({ id }) => id);
  for (const chart of charts(judged().evidence))
    expect(ids).toEqual(expect.arrayContaining([...chart.criteria]));
});

describe("one planted fault is found by its own criterion", () => {
  test("202 before the event is stored fails lossless, and says which was lost in the kill", () => {
    const { of, which } = judged({ early: true });
    expect(which("fail")).toContain("lossless");
    expect(of("lossless")?.detail).toMatch(/[1-9]\d* were never stored and [1-9]\d* only after the answer/);
  });

  test("an event that was refused and stored all the same fails lossless alone", () => {
    const { which } = judged({}, (record) => {
      const refused = first(record, 429);
      const { attempts } = record.drill.gateway;
      attempts.message.push(refused);
      attempts.arrivedMs.push((record.drill.requests.sentMs[refused] ?? 0) + 1);
      attempts.answeredMs.push((record.drill.requests.sentMs[refused] ?? 0) + 2);
      attempts.status.push(200);
      attempts.open.push(1);
    });
    expect(which("fail")).toEqual(["lossless"]);
  });

  test("whoever takes everything in and lets it wait fails answers-in-time and bounded-memory", () => {
    const { of, which } = judged({ maxInFlight: 1e6 });
    expect(which("fail")).toEqual(expect.arrayContaining(["answers-in-time", "bounded-memory"]));
    expect(of("refuses-at-once")?.verdict).toBe("unknown");
  });

  test.each([
    ["a 500", 500, 1],
    ["no answer", 0, null],
    ["a 429 without Retry-After", 429, null],
  ])("%s fails answers-all alone", (_, status, retryAfter) => {
    const { of, which } = judged({}, (record) => {
      const one = first(record, 429);
      record.drill.requests.status[one] = status;
      record.drill.requests.retryAfterSeconds[one] = retryAfter;
      if (status === 0) record.drill.requests.answeredMs[one] = null;
    });
    expect(which("fail")).toEqual(["answers-all"]);
    expect(of("answers-all")).toMatchObject({ measured: 1 });
  });

  test("slow refusals fail refuses-at-once", () => {
    const { which } = judged({}, ({ drill: { requests } }) => {
      requests.answeredMs = requests.answeredMs.map((at, i) =>
        requests.status[i] === 429 && at !== null ? at + 300 : at,
      );
    });
    expect(which("fail")).toContain("refuses-at-once");
  });

  test("refusals that were late in one standstill decide nothing; in several, they fail", () => {
    const late = (...standstillsMs: number[]) =>
      judged({}, ({ drill: { requests } }) => {
        requests.answeredMs = requests.answeredMs.map((at, i) => {
          const sentMs = requests.sentMs[i] ?? 0;
          const from = standstillsMs.find((start) => sentMs >= start && sentMs < start + 200);
          return requests.status[i] === 429 && from !== undefined && at !== null ? from + 350 : at;
        });
      }).of("refuses-at-once");
    const one = late(3_000);
    expect(one?.verdict, one?.detail).toBe("unknown");
    expect(one?.measured).toBeGreaterThan(200);
    expect(late(2_500, 3_200, 4_000)?.verdict).toBe("fail");
  });

  test("what a new process is slow with in the warm-up is not held against it; a refusal after it is", () => {
    const slowUntil = (toMs: number) =>
      judged({}, ({ drill: { requests } }) => {
        requests.answeredMs = requests.answeredMs.map((at, i) =>
          at !== null && (requests.sentMs[i] ?? 0) < toMs ? at + 2_000 : at,
        );
      });
    expect(slowUntil(600).which("fail")).toEqual([]);
    expect(slowUntil(4_000).which("fail")).toEqual(
      expect.arrayContaining(["refuses-at-once", "answers-in-time"]),
    );
  });

  test("a client that was late itself cannot tell refusals of a tenth of a second; it can tell those of seconds", () => {
    const refused = (afterMs: number) =>
      judged({}, ({ drill: { requests } }) => {
        for (const [i, sentMs] of requests.sentMs.entries()) {
          if (sentMs === null || sentMs < 600) continue;
          const lateMs = i % 20 === 0 ? 40 : 0;
          requests.sentMs[i] = sentMs + lateMs;
          const answeredMs = requests.answeredMs[i];
          if (answeredMs == null) continue;
          requests.answeredMs[i] = answeredMs + lateMs + (requests.status[i] === 429 ? afterMs : 0);
        }
      }).of("refuses-at-once");
    expect(refused(0)?.verdict).toBe("pass");
    expect(refused(300)).toMatchObject({ verdict: "unknown", detail: expect.stringContaining("40 ms late") });
    expect(refused(2_000)?.verdict).toBe("fail");
  });

  test("an edge that refuses though it has places fails rate-matches-capacity", () => {
    const { which } = judged({ maxInFlight: 1 });
    expect(which("fail")).toContain("rate-matches-capacity");
  });

  test("what a call cost whoever made it beside the load is not held against the edge", () => {
    const paid = ({ drill, finishedMs }: ReturnType<typeof simulate>, overheadMs: number) => {
      // Bursts of five calls.
      const bursts = Array.from({ length: Math.ceil(finishedMs / 200) }, (_, i) => i * 200);
      const atMs = bursts.flatMap((at) => [0, 10, 20, 30, 40].map((later) => at + later));
      drill.gateway.reference = { atMs, overheadMs: atMs.map(() => overheadMs) };
    };
    const slow = judged({ overheadMs: 4 }, (record) => paid(record, 1));
    expect(slow.of("rate-matches-capacity")?.verdict).toBe("fail");
    const same = judged({ overheadMs: 4 }, (record) => paid(record, 4));
    expect(same.of("rate-matches-capacity")?.verdict).toBe("pass");
  });

  test("a call too many fails bounded-concurrency", () => {
    const { which } = judged({}, ({ drill }) => {
      drill.gateway.attempts.open[50] = 3;
    });
    expect(which("fail")).toEqual(["bounded-concurrency"]);
  });

  test("a bad request that was accepted fails bad-requests", () => {
    const { which } = judged({}, (record) => {
      record.drill.requests.status[first(record, 413)] = 202;
    });
    expect(which("fail")).toContain("bad-requests");
  });

  test("a request cut off at SIGTERM fails drains; so does an exit code", () => {
    const cut = judged({}, ({ drill: { requests, toldToStopMs } }) => {
      const open = requests.answeredMs.findIndex(
        (at, i) => at !== null && at >= toldToStopMs && (requests.sentMs[i] ?? 0) < toldToStopMs,
      );
      requests.answeredMs[open] = null;
      requests.status[open] = 0;
    });
    expect(cut.of("drains")).toMatchObject({ verdict: "fail", measured: 1 });
    const crashed = judged({}, ({ workers }) => {
      const exit = workers.at(-1)?.exit;
      if (exit) exit.code = 1;
    });
    expect(crashed.which("fail")).toEqual(["drains"]);
  });
});

test("a flood that fell behind decides nothing", () => {
  const { verdict } = judged({}, ({ drill: { requests } }) => {
    requests.sentMs = requests.sentMs.map((at, i) => (i % 3 === 0 ? null : at));
  });
  expect(verdict.verdict).toBe("unknown");
});

test("on a host that others use, what depends on time is not held against the worker; what does not, is", () => {
  const { of } = judged({ maxInFlight: 1, early: true }, ({ host }) => {
    host.duringRun.foreignCpuShare = 0.7;
  });
  expect(of("rate-matches-capacity")?.verdict).toBe("unknown");
  expect(of("lossless")?.verdict).toBe("fail");
});
