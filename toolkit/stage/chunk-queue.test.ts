import fc from "fast-check";
import { expect, test } from "vitest";
import { ChunkQueue } from "./chunk-queue.ts";
import { Fifo } from "./fifo.ts";

type Operation = { kind: "push" | "unshift"; count: number } | { kind: "take"; count: number };

const operations = fc.array(
  fc.record({
    kind: fc.constantFrom<Operation["kind"]>("push", "unshift", "take"),
    count: fc.integer({ min: 0, max: 40 }),
  }),
  { maxLength: 120 },
);

test("a chunk queue behaves as one array, whatever the chunks", () => {
  fc.assert(
    fc.property(operations, (steps) => {
      const queue = new ChunkQueue<number>();
      let model: number[] = [];
      let made = 0;
      for (const { kind, count } of steps) {
        const events = Array.from({ length: count }, () => made++);
        if (kind === "take") {
          expect(queue.take(count)).toEqual(model.splice(0, count));
        } else if (kind === "push") {
          queue.push(events.slice());
          model = [...model, ...events];
        } else {
          queue.unshift(events.slice());
          model = [...events, ...model];
        }
        expect(queue.length).toBe(model.length);
      }
      expect(queue.take(queue.length)).toEqual(model);
    }),
  );
});

test("a whole chunk is handed out as it came in, without a copy", () => {
  const queue = new ChunkQueue<number>();
  const chunk = [1, 2, 3];
  queue.push(chunk);
  queue.push([4]);
  expect(queue.take(3)).toBe(chunk);
});

test("a fifo keeps order while it grows and wraps around", () => {
  fc.assert(
    fc.property(operations, (steps) => {
      const fifo = new Fifo<number>();
      const model: number[] = [];
      let made = 0;
      for (const { kind, count } of steps) {
        for (let i = 0; i < count; i++) {
          if (kind === "take") {
            expect(fifo.peek()).toBe(model[0]);
            expect(fifo.shift()).toBe(model.shift());
          } else if (kind === "push") {
            model.push(made);
            fifo.push(made++);
          } else {
            model.unshift(made);
            fifo.unshift(made++);
          }
        }
        expect(fifo.length).toBe(model.length);
      }
    }),
  );
});
