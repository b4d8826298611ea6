import fc from "fast-check";
import { expect, test } from "vitest";
import { createOffsetTracker } from "./offset-tracker.ts";

/** Offsets with gaps, as on a compacted or transactional topic. */
const ascending = (gap: number) =>
  fc
    .array(fc.integer({ min: 1, max: gap }), { minLength: 1, maxLength: 200 })
    .map((steps) => steps.map((_, i) => 100 + steps.slice(0, i + 1).reduce((sum, step) => sum + step, 0)));

/** The definition, in so many words: the lowest offset in work, else one more than the last. */
function expected(started: readonly number[], finished: ReadonlySet<number>): number | undefined {
  const [first] = started;
  if (first === undefined) return undefined;
  const lowest = started.find((offset) => !finished.has(offset));
  const offset = lowest ?? (started.at(-1) as number) + 1;
  return offset > first ? offset : undefined;
}

test.each([
  ["dense", 1],
  ["with gaps", 5],
  ["with wide gaps", 1_000],
])("on a %s partition every offset below the committable one is finished, and the next is not", (_, gap) => {
  fc.assert(
    fc.property(ascending(gap), fc.infiniteStream(fc.nat()), (offsets, choices) => {
      const tracker = createOffsetTracker();
      const started: number[] = [];
      const inWork: number[] = [];
      const finished = new Set<number>();
      const toStart = [...offsets];
      while (toStart.length > 0 || inWork.length > 0) {
        const choice = choices.next().value as number;
        if (toStart.length > 0 && (inWork.length === 0 || choice % 3 !== 0)) {
          const offset = toStart.shift() as number;
          tracker.started(offset);
          started.push(offset);
          inWork.push(offset);
        } else {
          const [offset] = inWork.splice(choice % inWork.length, 1) as [number];
          tracker.finished(offset);
          finished.add(offset);
        }
        expect(tracker.committable()).toBe(expected(started, finished));
        expect(tracker.inWork).toBe(inWork.length);
      }
      expect(tracker.committable()).toBe((offsets.at(-1) as number) + 1);
    }),
  );
});

test("the committable offset never goes back", () => {
  fc.assert(
    fc.property(ascending(4), fc.infiniteStream(fc.nat()), (offsets, choices) => {
      const tracker = createOffsetTracker();
      for (const offset of offsets) tracker.started(offset);
      const left = [...offsets];
      let before = 0;
      while (left.length > 0) {
        const [offset] = left.splice((choices.next().value as number) % left.length, 1) as [number];
        tracker.finished(offset);
        const now = tracker.committable() ?? 0;
        expect(now).toBeGreaterThanOrEqual(before);
        before = now;
      }
    }),
  );
});

test("finishing an offset twice, or one never started, changes nothing", () => {
  const tracker = createOffsetTracker();
  for (const offset of [10, 11, 15]) tracker.started(offset);
  for (const offset of [11, 11, 9, 12, 16, 1e9]) tracker.finished(offset);
  expect(tracker.inWork).toBe(2);
  expect(tracker.committable()).toBeUndefined();
  tracker.finished(10);
  expect(tracker.committable()).toBe(15);
  tracker.finished(10);
  expect(tracker.inWork).toBe(1);
});

test("offsets that do not ascend are refused", () => {
  const tracker = createOffsetTracker();
  tracker.started(5);
  expect(() => tracker.started(5)).toThrow(RangeError);
  expect(() => tracker.started(4)).toThrow("offset 4 was started after 5");
});

test("one message that never finishes costs no memory while a million pass it", () => {
  const tracker = createOffsetTracker();
  tracker.started(0);
  const before = process.memoryUsage().arrayBuffers;
  for (let offset = 1; offset <= 1_000_000; offset++) {
    tracker.started(offset);
    if (offset > 100) tracker.finished(offset - 100);
  }
  expect(tracker.committable()).toBeUndefined();
  expect(tracker.inWork).toBe(101);
  // A window of a million offsets would take 9 MB.
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000);
  tracker.finished(0);
  expect(tracker.committable()).toBe(1_000_000 - 100 + 1);
});
