import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { broadcastDispatcher } from "./broadcast-dispatcher.ts";
import { demandDispatcher } from "./demand-dispatcher.ts";
import type { Dispatcher, Place } from "./dispatcher.ts";
import { partitionDispatcher, partitionIndex } from "./partition-dispatcher.ts";

/** A subscriber as plain data: what it asked for, and what it got. */
interface Seat extends Place<number> {
  readonly name: number;
  asked: number;
  readonly got: number[];
}

function seat(name: number): Seat {
  const got: number[] = [];
  return { name, demand: 0, asked: 0, got, receive: (events) => void got.push(...events) };
}

const SEATS = 3;
const kinds = {
  demand: () => demandDispatcher<number>(),
  broadcast: () => broadcastDispatcher<number>(),
  partition: () => partitionDispatcher<number>({ partitions: SEATS, by: (event) => event * 7 }),
} satisfies Record<string, () => Dispatcher<number>>;

function setUp(kind: keyof typeof kinds) {
  const dispatcher: Dispatcher<number> = kinds[kind]();
  const seats = Array.from({ length: SEATS }, (_, name) => seat(name));
  for (const one of seats) dispatcher.join(one, { partition: one.name });
  return { dispatcher, seats };
}

type Step = { readonly ask: number; readonly seat: number } | { readonly dispatch: number };
const steps = fc.array(
  fc.oneof(
    fc.record({ ask: fc.integer({ min: 1, max: 20 }), seat: fc.nat(SEATS - 1) }),
    fc.record({ dispatch: fc.integer({ min: 1, max: 30 }) }),
  ),
  { maxLength: 80 },
);

/** Does the steps with events 0, 1, 2, ... and, as a stage does, never dispatches more than there is demand for. */
function play(
  dispatcher: Dispatcher<number>,
  seats: readonly Seat[],
  script: readonly Step[],
  check: () => void,
): number {
  let events = 0;
  for (const step of script) {
    if ("ask" in step) {
      const one = seats[step.seat] as Seat;
      one.asked += step.ask;
      dispatcher.ask(one, step.ask);
    } else {
      const count = Math.min(step.dispatch, dispatcher.demand);
      if (count > 0) dispatcher.dispatch(Array.from({ length: count }, () => events++));
    }
    check();
  }
  return events;
}

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

describe.each(Object.keys(kinds) as (keyof typeof kinds)[])("the %s dispatcher", (kind) => {
  test("never delivers more than was asked, and keeps each subscriber's demand", () => {
    fc.assert(
      fc.property(steps, (script) => {
        const { dispatcher, seats } = setUp(kind);
        play(dispatcher, seats, script, () => {
          expect(dispatcher.demand).toBeGreaterThanOrEqual(0);
          for (const { got, asked, demand } of seats) expect(got.length + demand).toBe(asked);
        });
      }),
    );
  });

  test("keeps the order of events for every subscriber", () => {
    fc.assert(
      fc.property(steps, (script) => {
        const { dispatcher, seats } = setUp(kind);
        play(dispatcher, seats, script, () => {});
        for (const { got } of seats) expect(got).toEqual([...got].sort((a, b) => a - b));
      }),
    );
  });
});

test.each(["demand", "partition"] as const)("%s: nothing is lost and nothing comes twice", (kind) => {
  fc.assert(
    fc.property(steps, (script) => {
      const { dispatcher, seats } = setUp(kind);
      const events = play(dispatcher, seats, script, () => {});
      const delivered = seats.flatMap(({ got }) => got);
      expect(delivered.length + dispatcher.kept).toBe(events);
      const all = [...delivered, ...dispatcher.takeKept()].sort((a, b) => a - b);
      expect(all).toEqual(upTo(events));
    }),
  );
});

test("broadcast: every subscriber has every event", () => {
  fc.assert(
    fc.property(steps, (script) => {
      const { dispatcher, seats } = setUp("broadcast");
      const events = play(dispatcher, seats, script, () => {});
      for (const { got } of seats) expect(got).toEqual(upTo(events));
    }),
  );
});

test("demand: what is dispatched plus what is still wanted is what was asked by all", () => {
  fc.assert(
    fc.property(steps, (script) => {
      const { dispatcher, seats } = setUp("demand");
      const events = play(dispatcher, seats, script, () => {});
      expect(events + dispatcher.demand).toBe(seats.reduce((sum, { asked }) => sum + asked, 0));
    }),
  );
});

test("demand: the largest demand is served first, and among equals the one that waited longest", () => {
  const { dispatcher, seats } = setUp("demand");
  const [a, b, c] = seats as [Seat, Seat, Seat];
  dispatcher.ask(a, 2);
  dispatcher.ask(b, 5);
  dispatcher.ask(c, 2);
  dispatcher.dispatch([1, 2]);
  expect(b.got).toEqual([1, 2]);
  dispatcher.dispatch([3, 4, 5]);
  expect([a.got, b.got, c.got]).toEqual([[], [1, 2, 3, 4, 5], []]);
  dispatcher.dispatch([6]);
  dispatcher.dispatch([7]);
  expect([a.got, c.got]).toEqual([[6], [7]]);
});

test("demand: subscribers that ask one at a time take turns", () => {
  const { dispatcher, seats } = setUp("demand");
  for (const one of seats) dispatcher.ask(one, 1);
  for (let event = 0; event < 9; event++) {
    dispatcher.dispatch([event]);
    dispatcher.ask(seats[event % SEATS] as Seat, 1);
  }
  expect(seats.map(({ got }) => got)).toEqual([
    [0, 3, 6],
    [1, 4, 7],
    [2, 5, 8],
  ]);
});

test("demand: what a subscriber leaves undelivered is for the others", () => {
  const { dispatcher, seats } = setUp("demand");
  const [a, b] = seats as [Seat, Seat];
  dispatcher.ask(a, 5);
  dispatcher.dispatch([1, 2, 3]);
  expect(dispatcher.leave(a, [2, 3])).toEqual([2, 3]);
  expect(dispatcher.demand).toBe(0);
  dispatcher.ask(b, 2);
  dispatcher.dispatch([2, 3]);
  expect(b.got).toEqual([2, 3]);
});

test("broadcast: all go at the pace of the slowest, and go on when it leaves", () => {
  const { dispatcher, seats } = setUp("broadcast");
  const [a, b, c] = seats as [Seat, Seat, Seat];
  dispatcher.ask(a, 10);
  dispatcher.ask(b, 3);
  expect(dispatcher.demand).toBe(0);
  dispatcher.ask(c, 10);
  expect(dispatcher.demand).toBe(3);
  dispatcher.leave(b, []);
  expect(dispatcher.demand).toBe(10);
});

test("broadcast: a selector chooses events, and only those use up demand", () => {
  const dispatcher = broadcastDispatcher<number>();
  const [all, even] = [seat(0), seat(1)];
  dispatcher.join(all, {});
  dispatcher.join(even, { selector: (event) => event % 2 === 0 });
  dispatcher.ask(all, 10);
  dispatcher.ask(even, 4);
  dispatcher.dispatch([1, 2, 3, 4]);
  expect(all.got).toEqual([1, 2, 3, 4]);
  expect(even.got).toEqual([2, 4]);
  expect(even.demand).toBe(2);
});

test("broadcast: subscribers do not share an array that one of them may change", () => {
  const arrays: number[][] = [];
  const broadcast = broadcastDispatcher<number>();
  for (let i = 0; i < 2; i++) {
    const place = { demand: 0, receive: (events: number[]) => void arrays.push(events) };
    broadcast.join(place, {});
    broadcast.ask(place, 1);
  }
  broadcast.dispatch([1]);
  expect(arrays[0]).not.toBe(arrays[1]);
});

test("partition: equal keys go to the same subscriber", () => {
  fc.assert(
    fc.property(steps, (script) => {
      const { dispatcher, seats } = setUp("partition");
      play(dispatcher, seats, script, () => {});
      for (const { got, name } of seats)
        for (const event of got) expect(partitionIndex(event * 7, SEATS)).toBe(name);
    }),
  );
});

test("partition: what is kept for a slow subscriber holds up the demand of all, so that it is bounded", () => {
  const dispatcher = partitionDispatcher<number>({ partitions: 2, by: () => 0 });
  const [slow, idle] = [seat(0), seat(1)];
  dispatcher.join(slow, { partition: 0 });
  dispatcher.join(idle, { partition: 1 });
  dispatcher.ask(slow, 5);
  dispatcher.ask(idle, 100);
  dispatcher.dispatch(upTo(105));
  expect(dispatcher.kept).toBe(100);
  expect(dispatcher.demand).toBe(0);
});

test("partition: undelivered events wait, in order, for the next subscriber of that partition", () => {
  const dispatcher = partitionDispatcher<number>({ partitions: 2, by: (event) => event % 2 });
  const [first, second] = [seat(0), seat(0)];
  dispatcher.join(first, { partition: 0 });
  dispatcher.ask(first, 2);
  dispatcher.dispatch([0, 2]);
  expect(dispatcher.leave(first, [2])).toEqual([]);
  dispatcher.join(second, { partition: 0 });
  dispatcher.ask(second, 5);
  dispatcher.dispatch([4, 6]);
  expect(second.got).toEqual([2, 4, 6]);
});

test("partition: a place that does not exist or is taken is refused with its number", () => {
  const { dispatcher } = setUp("partition");
  expect(() => dispatcher.join(seat(9), { partition: 9 })).toThrow(
    "partition 9 does not exist: there are 0 to 2",
  );
  expect(() => dispatcher.join(seat(1), { partition: 1 })).toThrow("partition 1 has a subscriber already");
});

test("keys spread over partitions, also short and similar ones", () => {
  const counts = new Array(8).fill(0);
  for (let i = 0; i < 8_000; i++) counts[partitionIndex(`account-${i}`, 8)]++;
  for (const count of counts) expect(count).toBeGreaterThan(800);
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.integer(), fc.double()),
      fc.integer({ min: 1, max: 64 }),
      (key, partitions) => {
        const index = partitionIndex(key, partitions);
        expect(index).toBeGreaterThanOrEqual(0);
        expect(index).toBeLessThan(partitions);
      },
    ),
  );
});
