import { expect, test } from "vitest";
import { until } from "../testing/until.ts";
import { createScheduler, type Scheduler, type Task } from "./scheduler.ts";

function task(run: () => void): Task {
  return {
    scheduled: false,
    run() {
      run();
      return 1;
    },
  };
}

/**
 * Work that never rests, until it is told to or 5 s have passed: with a scheduler that starves the event loop the test
 * must still come to its end, and fail.
 */
function endless(scheduler: Scheduler, again: (one: Task) => void) {
  const state = { turns: 0, isOver: false };
  const givesUpAt = performance.now() + 5_000;
  const one = task(() => {
    state.turns++;
    if (!state.isOver && performance.now() < givesUpAt) again(one);
  });
  scheduler.schedule(one);
  return state;
}

test("tasks take turns, first come, first served", async () => {
  const scheduler = createScheduler();
  const log: string[] = [];
  const [a, b, c] = ["a", "b", "c"].map((name) => {
    let turns = 0;
    const one: Task = task(() => {
      log.push(name);
      if (++turns < 3) scheduler.schedule(one);
    });
    return one;
  }) as [Task, Task, Task];
  for (const one of [a, b, c, a]) scheduler.schedule(one);
  expect(log).toEqual([]);
  await until("nine turns", () => log.length === 9);
  expect(log.join("")).toBe("abcabcabc");
});

test("an idle task runs after everything that was at hand", async () => {
  const scheduler = createScheduler();
  const log: string[] = [];
  scheduler.whenIdle(task(() => log.push("idle")));
  let left = 3;
  const worker = task(() => {
    log.push("work");
    if (--left > 0) scheduler.schedule(worker);
  });
  scheduler.schedule(worker);
  await until("the idle task", () => log.includes("idle"));
  expect(log).toEqual(["work", "work", "work", "idle"]);
});

test.each([
  ["tasks never rest", (scheduler: Scheduler, one: Task) => scheduler.schedule(one)],
  [
    "the work is a chain of promises that are already resolved",
    (scheduler: Scheduler, one: Task) => void Promise.resolve().then(() => scheduler.schedule(one)),
  ],
])("timers ring while %s", async (_, again) => {
  const scheduler = createScheduler({ sliceMs: 2 });
  const state = endless(scheduler, (one) => again(scheduler, one));
  const turnsAtRing: number[] = [];
  const timer = setInterval(() => turnsAtRing.push(state.turns), 1);
  await until("five rings of a 1 ms timer", () => turnsAtRing.length >= 5);
  state.isOver = true;
  clearInterval(timer);
  // The work went on between the rings.
  expect(new Set(turnsAtRing).size).toBe(turnsAtRing.length);
});

test("a task that throws is reported, and the others keep their turns", async () => {
  const errors: unknown[] = [];
  const scheduler = createScheduler({ onCrash: (error) => errors.push(error) });
  let ran = false;
  scheduler.schedule(
    task(() => {
      throw new Error("a bug");
    }),
  );
  scheduler.schedule(
    task(() => {
      ran = true;
    }),
  );
  await until("the second task", () => ran);
  expect(errors).toEqual([new Error("a bug")]);
});
