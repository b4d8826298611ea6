import { describe, expect, test } from "vitest";
import { admits, createHoldings } from "./holdings.ts";

const both = [
  { topic: "payments", partition: 0 },
  { topic: "payments", partition: 1 },
];

describe("holdings", () => {
  test("a join revokes all work of the generation before, also of a partition that is kept", () => {
    const holdings = createHoldings();
    holdings.join(both);
    const before = holdings.find("payments", 0);
    before?.tracker.started(7);
    expect(holdings.inWork()).toBe(1);

    holdings.join([{ topic: "payments", partition: 0 }]);
    const after = holdings.find("payments", 0);
    expect(before?.revoked).toBe(true);
    expect(after).toMatchObject({ generation: 2, revoked: false, position: undefined, committed: undefined });
    expect(holdings.find("payments", 1)).toBeUndefined();
    expect(holdings.inWork()).toBe(0);
  });

  test("lost partitions are revoked at once, and nothing is held until the next join", () => {
    const holdings = createHoldings();
    expect(holdings.active).toBe(false);
    holdings.join(both);
    const held = holdings.find("payments", 1);
    holdings.lose();
    expect(held?.revoked).toBe(true);
    expect(holdings.active).toBe(false);
    expect(holdings.find("payments", 1)).toBeUndefined();
    holdings.join(both);
    expect(holdings.active).toBe(true);
  });

  test("a generation that is about to end gives out nothing, and what is finished may still be committed", () => {
    const holdings = createHoldings();
    holdings.join(both);
    holdings.suspend();
    expect(holdings.active).toBe(false);
    expect(holdings.find("payments", 0)?.revoked).toBe(false);
  });

  test("a log that began anew gets an assignment of its own, which takes its first fetch", () => {
    const holdings = createHoldings();
    holdings.join(both);
    const before = holdings.find("payments", 0);
    if (before === undefined) throw new Error("partition 0 is held");
    before.position = 100;
    const after = holdings.restart(before);
    expect(before.revoked).toBe(true);
    expect(holdings.find("payments", 0)).toBe(after);
    expect(admits(after, 0)).toBe(true);
  });
});

describe("a fetch of an older generation", () => {
  function heldAgain() {
    const holdings = createHoldings();
    holdings.join(both);
    holdings.join(both);
    const held = holdings.find("payments", 0);
    if (held === undefined) throw new Error("partition 0 is held");
    return held;
  }

  test("is not given out, because the one asked for anew begins elsewhere", () => {
    const held = heldAgain();
    expect(admits(held, 1_000)).toBe(false);
    expect(admits(held, 400)).toBe(false);
    expect(admits(held, 400)).toBe(true);
  });

  test("cannot exist before the first rejoin, so the first start costs no second fetch", () => {
    const holdings = createHoldings();
    holdings.join(both);
    const held = holdings.find("payments", 0);
    expect(held !== undefined && admits(held, 0)).toBe(true);
  });

  test("is looked for at the start of a generation only", () => {
    const held = heldAgain();
    held.position = 500;
    expect(admits(held, 500)).toBe(true);
  });
});
