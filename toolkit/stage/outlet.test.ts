import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { broadcastDispatcher } from "./broadcast-dispatcher.ts";
import { demandDispatcher } from "./demand-dispatcher.ts";
import type { DispatcherFactory } from "./dispatcher.ts";
import { Outlet, type OutletSubscriber } from "./outlet.ts";
import { partitionDispatcher, partitionIndex } from "./partition-dispatcher.ts";

/** A subscriber as plain data: what it asked for, received, handled, and gave back. */
interface Seat extends OutletSubscriber<number> {
  readonly number: number;
  asked: number;
  received: number;
  readonly inHand: number[];
  readonly handled: number[];
}

function seat(number: number): Seat {
  const inHand: number[] = [];
  return {
    number,
    demand: 0,
    asked: 0,
    received: 0,
    inHand,
    handled: [],
    get held() {
      return inHand.length;
    },
    receive(events) {
      this.received += events.length;
      inHand.push(...events);
    },
    ended() {},
  };
}

const places = 3;
const kinds = {
  demand: () => demandDispatcher<number>(),
  broadcast: () => broadcastDispatcher<number>(),
  partition: () => partitionDispatcher<number>({ partitions: places, by: (event) => event * 7 }),
} satisfies Record<string, DispatcherFactory<number>>;

type Step =
  | { readonly do: "ask" | "handle"; readonly seat: number; readonly count: number }
  | { readonly do: "leave" | "join"; readonly seat: number }
  | { readonly do: "emit"; readonly count: number };
const seatNumber = fc.nat(places - 1);
const count = fc.integer({ min: 1, max: 20 });
const script = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant("ask" as const), seat: seatNumber, count }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("handle" as const), seat: seatNumber, count }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("emit" as const), count }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("leave" as const), seat: seatNumber }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("join" as const), seat: seatNumber }) },
  ),
  { maxLength: 120 },
);

/**
 * Plays the steps on an outlet whose producer makes 0, 1, 2, ... and, as a good one does, no more than it was asked for.
 * Whoever leaves gives back what it had in hand; a new seat takes its place.
 */
function play(dispatcher: DispatcherFactory<number>, steps: readonly Step[], check: (world: World) => void) {
  const world: World = { outlet: undefined as never, present: new Map(), gone: [], asked: 0, emitted: 0 };
  world.outlet = new Outlet<number>({
    name: "outlet",
    dispatcher,
    onDemand(more) {
      expect(more).toBeGreaterThan(0);
      world.asked += more;
    },
  });
  const join = (number: number) => {
    if (world.present.has(number)) return;
    const one = seat(number);
    world.present.set(number, one);
    world.outlet.join(one, { partition: number });
  };
  for (let number = 0; number < places; number++) join(number);
  for (const step of steps) {
    if (step.do === "join") join(step.seat);
    if (step.do === "emit") {
      const events = Math.min(step.count, world.asked - world.emitted);
      world.outlet.emit(Array.from({ length: events }, () => world.emitted++));
    }
    const one = "seat" in step ? world.present.get(step.seat) : undefined;
    if (one !== undefined && step.do === "ask") {
      one.asked += step.count;
      world.outlet.ask(one, step.count);
    }
    if (one !== undefined && step.do === "handle") one.handled.push(...one.inHand.splice(0, step.count));
    if (one !== undefined && step.do === "leave") {
      world.present.delete(one.number);
      world.gone.push(one);
      world.outlet.leave(one, one.inHand.splice(0));
    }
    check(world);
  }
  return world;
}

interface World {
  outlet: Outlet<number>;
  readonly present: Map<number, Seat>;
  readonly gone: Seat[];
  /** Demand passed to the producer, and events it made. */
  asked: number;
  emitted: number;
}

const sum = (numbers: Iterable<number>) => [...numbers].reduce((total, one) => total + one, 0);
const upTo = (length: number) => Array.from({ length }, (_, i) => i);
const ascending = (numbers: readonly number[]) => [...numbers].sort((a, b) => a - b);

describe.each(Object.keys(kinds) as (keyof typeof kinds)[])(
  "an outlet with the %s dispatcher, whoever comes and goes",
  (kind) => {
    test("delivers no more than was asked, to anybody", () => {
      fc.assert(
        fc.property(script, (steps) => {
          play(kinds[kind], steps, ({ present, gone }) => {
            for (const one of [...present.values(), ...gone])
              expect(one.received).toBeLessThanOrEqual(one.asked);
            for (const one of present.values()) expect(one.received + one.demand).toBe(one.asked);
          });
        }),
      );
    });

    test("remembers demand that was not met: the producer owes it, or it is there", () => {
      fc.assert(
        fc.property(script, (steps) => {
          play(kinds[kind], steps, ({ outlet, asked, emitted }) => {
            expect(outlet.asked).toBe(asked - emitted);
            expect(outlet.room).toBeLessThanOrEqual(outlet.asked);
          });
        }),
      );
    });
  },
);

describe.each(["demand", "partition"] as const)("an outlet with the %s dispatcher", (kind) => {
  test("loses nothing and delivers nothing twice, though subscribers leave with events in hand", () => {
    fc.assert(
      fc.property(script, (steps) => {
        const world = play(kinds[kind], steps, ({ outlet, present, gone, emitted }) => {
          const all = [...present.values(), ...gone];
          const handled = all.flatMap((one) => one.handled);
          expect(new Set(handled).size).toBe(handled.length);
          expect(handled.length + sum(all.map((one) => one.held)) + outlet.waiting).toBe(emitted);
        });
        // Whoever comes then and asks for enough gets all that was left.
        const rest: number[] = [];
        for (const one of world.present.values()) world.outlet.leave(one, one.inHand.splice(0));
        for (const number of upTo(places)) {
          const one = seat(number);
          world.outlet.join(one, { partition: number });
          world.outlet.ask(one, world.emitted + 1);
          rest.push(...one.inHand);
        }
        const handled = [...world.present.values(), ...world.gone].flatMap((one) => one.handled);
        expect(ascending([...handled, ...rest])).toEqual(upTo(world.emitted));
      }),
    );
  });

  test("does not ask the producer for more than its subscribers asked and gave back", () => {
    fc.assert(
      fc.property(script, (steps) => {
        play(kinds[kind], steps, ({ present, gone, asked }) => {
          expect(asked).toBeLessThanOrEqual(sum([...present.values(), ...gone].map((one) => one.asked)));
        });
      }),
    );
  });
});

test("partition: a key's events are handled in order, also by those who took over from others", () => {
  fc.assert(
    fc.property(script, (steps) => {
      const handled: number[] = [];
      const seen = new Map<Seat, number>();
      play(kinds.partition, steps, ({ present, gone }) => {
        for (const one of [...present.values(), ...gone]) {
          handled.push(...one.handled.slice(seen.get(one) ?? 0));
          seen.set(one, one.handled.length);
        }
      });
      for (let key = 0; key < places; key++) {
        const own = handled.filter((event) => partitionIndex(event * 7, places) === key);
        expect(own).toEqual(ascending(own));
      }
    }),
  );
});

test("a bounded buffer: what was delivered, waits or was dropped is what was emitted, and what stays is the end it keeps", () => {
  const steps = fc.array(fc.oneof(fc.record({ emit: count }), fc.record({ ask: count })), { maxLength: 60 });
  fc.assert(
    fc.property(
      steps,
      fc.integer({ min: 1, max: 15 }),
      fc.constantFrom("first" as const, "last" as const),
      (script, bufferSize, bufferKeep) => {
        const outlet = new Outlet<number>({
          name: "bounded",
          dispatcher: kinds.demand,
          onDemand: () => {},
          bufferSize,
          bufferKeep,
        });
        const one = seat(0);
        outlet.join(one, {});
        // The same as arithmetic on one array.
        let waiting: number[] = [];
        const expected: number[] = [];
        let wanted = 0;
        let emitted = 0;
        for (const step of script) {
          if ("ask" in step) {
            wanted += step.ask;
            outlet.ask(one, step.ask);
          } else {
            const events = upTo(step.emit).map(() => emitted++);
            waiting.push(...events);
            outlet.emit([...events]);
          }
          const now = waiting.splice(0, wanted);
          wanted -= now.length;
          expected.push(...now);
          if (waiting.length > bufferSize) {
            waiting = bufferKeep === "last" ? waiting.slice(-bufferSize) : waiting.slice(0, bufferSize);
          }
          expect(one.inHand).toEqual(expected);
          expect(outlet.waiting).toBe(waiting.length);
        }
      },
    ),
  );
});
