import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { malformations, planMessages } from "./messages.ts";
import { dueTimes, plannedCount, schedule } from "./schedule.ts";

const load = {
  phases: [
    { name: "steady", forMs: 2000, perSecond: 1500 },
    { name: "spike", forMs: 1000, perSecond: 3000 },
  ],
  accounts: 50,
  paddingLength: 60,
  malformedOneIn: 20,
};

describe("the plan of a load", () => {
  test("equal seeds give equal bytes, another seed gives others", () => {
    const [a, b, c] = [planMessages(7, load, 4), planMessages(7, load, 4), planMessages(8, load, 4)];
    for (let i = 0; i < a.length; i += 97) expect(a.value(i)).toEqual(b.value(i));
    expect(a.value(0)).not.toEqual(c.value(0));
  });

  test("every event id is its own, and sequences count up without a gap in each account", () => {
    const plan = planMessages(7, load, 4);
    const ids = new Set<string>();
    const last = new Map<string, number>();
    let events = 0;
    for (let i = 0; i < plan.length; i += 1) {
      const event = plan.event(i);
      if (event === undefined) continue;
      events += 1;
      expect(plan.eventId(i)).toBe(event.eventId);
      ids.add(event.eventId);
      expect(event.sequence).toBe((last.get(event.accountId) ?? 0) + 1);
      last.set(event.accountId, event.sequence);
    }
    expect(ids.size).toBe(events);
  });

  test("a well-formed message is its event as JSON; every malformation occurs and none parses to a valid event", () => {
    const plan = planMessages(7, load, 4);
    const seen = new Set<string>();
    for (let i = 0; i < plan.length; i += 1) {
      const { malformation } = plan.at(i);
      const event = plan.event(i);
      const value = plan.value(i);
      if (event !== undefined) {
        expect(JSON.parse(String(value))).toEqual(event);
        continue;
      }
      seen.add(malformation ?? "");
      expect(isEvent(value)).toBe(false);
    }
    expect([...seen].sort()).toEqual([...malformations].sort());
  });

  test("a padding has the length that was asked for, and one that cannot be made is refused", () => {
    const longest = 65_536;
    for (const paddingLength of [0, 60, 16_385, longest - 1, longest]) {
      const { padding = "" } =
        planMessages(7, { ...load, malformedOneIn: 0, paddingLength }, 4).event(1) ?? {};
      // An emoji is one character and two code units.
      expect([...padding]).toHaveLength(paddingLength);
    }
    expect(() => planMessages(7, { ...load, paddingLength: longest + 1 }, 4)).toThrow(RangeError);
  });

  test("a load may name its malformations: they take turns, and an invalid one is well-formed JSON", () => {
    const named = ["invalid", "oversized", "invalid-json"] as const;
    const plan = planMessages(7, { ...load, malformations: named }, 4);
    const bad = Array.from({ length: plan.length }, (_, i) => i).filter((i) => plan.event(i) === undefined);
    expect(bad.slice(0, 6).map((i) => plan.at(i).malformation)).toEqual([...named, ...named]);
    expect(JSON.parse(String(plan.value(bad[0] ?? -1))).amountCents).toBeLessThan(0);
    const { index, partition } = planMessages(7, load, 4).at(100);
    expect(plan.at(100)).toMatchObject({ index, partition });
  });

  test("a phase of healthy events has neither malformed ones nor trouble, and the others have both", () => {
    const phase = { name: "p", forMs: 1_000, perSecond: 500 };
    const phases = [phase, { ...phase, healthy: true as const }, phase];
    const trouble = [{ name: "refused", oneIn: 10, status: 422 as const, times: 1 }];
    const plan = planMessages(7, { ...load, phases, malformedOneIn: 10, trouble }, 4);
    const poisoned = Array.from({ length: plan.length }, (_, i) => plan.at(i)).filter(
      (one) => one.malformation !== undefined || one.trouble !== undefined,
    );
    const inPhase = (p: number) => poisoned.filter(({ index }) => Math.floor(index / 500) === p).length;
    expect(inPhase(1)).toBe(0);
    for (const p of [0, 2]) expect(inPhase(p)).toBeGreaterThan(50);
  });

  test("an account keeps its partition, and all partitions are used", () => {
    const plan = planMessages(3, load, 4);
    const partitionOf = new Map<string, number>();
    for (let i = 0; i < plan.length; i += 1) {
      const { accountId, partition } = plan.at(i);
      expect(partitionOf.get(accountId) ?? partition).toBe(partition);
      partitionOf.set(accountId, partition);
    }
    expect(new Set(partitionOf.values()).size).toBe(4);
  });
});

describe("copies", () => {
  const copies = [
    { name: "at once", oneIn: 10, afterMs: [0, 0] },
    { name: "twin", oneIn: 10, afterMs: [0, 0], elsewhere: true },
    { name: "later", oneIn: 10, afterMs: [500, 1_000] },
    { name: "reused", oneIn: 20, afterMs: [1_000, 1_500], conflicting: true },
  ] as const;
  const plan = planMessages(7, { ...load, malformedOneIn: 0, copies }, 4);
  const due = dueTimes(schedule(load.phases));
  const all = Array.from({ length: plan.length }, (_, i) => plan.at(i));

  test("each kind occurs, and a copy is of an event's first message, as long before as its kind says", () => {
    for (const kind of copies) {
      const these = all.filter(({ copy }) => copy === kind);
      expect(these.length).toBeGreaterThan(plan.length / kind.oneIn / 3);
      for (const { index, copyOf = -1 } of these) {
        expect(plan.at(copyOf).copyOf).toBeUndefined();
        const afterMs = (due[index] ?? 0) - (due[copyOf] ?? 0);
        expect(afterMs).toBeGreaterThanOrEqual(kind.afterMs[0]);
        if (kind.afterMs[1] === 0) expect(copyOf).toBe(index - 1);
      }
    }
  });

  test("a copy has the bytes of its original; a conflicting one has its event id and another amount", () => {
    for (const { index, copyOf, copy } of all) {
      if (copyOf === undefined) continue;
      expect(plan.eventId(index)).toBe(plan.eventId(copyOf));
      if (copy?.conflicting !== true) expect(plan.value(index)).toEqual(plan.value(copyOf));
      else {
        const { amountCents, ...rest } = plan.event(copyOf) ?? { amountCents: 0 };
        expect(plan.event(index)).toMatchObject(rest);
        expect(plan.event(index)?.amountCents).not.toBe(amountCents);
      }
    }
  });

  test("only copies that go elsewhere leave the partition of their account", () => {
    for (const { partition, copyOf, copy } of all) {
      if (copyOf === undefined) continue;
      expect(partition === plan.at(copyOf).partition).toBe(copy?.name !== "twin");
    }
  });

  test("a load without copies is what it was", () => {
    expect(planMessages(7, { ...load, copies: [] }, 4).value(99)).toEqual(planMessages(7, load, 4).value(99));
  });
});

describe("the schedule", () => {
  test("due times never fall back, and each phase has its rate times its length", () => {
    const phase = fc.record({
      name: fc.constant("p"),
      forMs: fc.integer({ min: 1, max: 2000 }),
      perSecond: fc.integer({ min: 1, max: 2000 }),
    });
    fc.assert(
      fc.property(fc.array(phase, { minLength: 1, maxLength: 5 }), (phases) => {
        const laid = schedule(phases);
        const due = dueTimes(laid);
        expect(due.length).toBe(plannedCount(laid));
        expect(due.every((at, i) => i === 0 || at >= (due[i - 1] ?? 0))).toBe(true);
        for (const one of laid) {
          expect(one.count).toBe(Math.round(((one.endMs - one.startMs) / 1000) * one.perSecond));
          if (one.count > 0) expect(due[one.first]).toBe(one.startMs);
        }
      }),
    );
  });
});

/** The contract's definition, written without the toolkit. */
function isEvent(value: Buffer | null): boolean {
  try {
    const e = JSON.parse(String(value));
    return (
      typeof e.eventId === "string" &&
      typeof e.accountId === "string" &&
      Number.isInteger(e.amountCents) &&
      !Number.isNaN(Date.parse(e.occurredAt)) &&
      Number.isInteger(e.sequence) &&
      typeof e.padding === "string"
    );
  } catch {
    return false;
  }
}
