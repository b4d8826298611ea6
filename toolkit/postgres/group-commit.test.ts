import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { expect, test } from "vitest";
import { groupCommit } from "./group-commit.ts";

test("one item is written at once; what comes meanwhile goes together into the next write", async () => {
  const groups: number[][] = [];
  const store = groupCommit<number>(async (items) => {
    groups.push([...items]);
    await turn();
  });
  await Promise.all([1, 2, 3, 4].map(store));
  await store(5);
  expect(groups).toEqual([[1], [2, 3, 4], [5]]);
});

test("an item that cannot be stored fails alone, with its own error", async () => {
  const store = groupCommit<number>(async (items) => {
    await turn();
    if (items.includes(3)) throw new Error(`no ${items.join()}`);
  });
  const results = await Promise.allSettled([1, 2, 3, 4].map(store));
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected", "fulfilled"]);
  expect(results[2]).toMatchObject({ reason: new Error("no 3") });
});

test("whenever items come, each is in one successful write, writes never overlap, and a resolved item is written", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(4), { maxLength: 40 }), async (turns) => {
      const written: number[] = [];
      let writing = 0;
      const store = groupCommit<number>(async (items) => {
        writing += 1;
        expect(writing).toBe(1);
        await turn();
        written.push(...items);
        writing -= 1;
      });
      await Promise.all(
        turns.map(async (count, i) => {
          for (let k = 0; k < count; k += 1) await turn();
          await store(i);
          expect(written).toContain(i);
        }),
      );
      expect([...written].sort((a, b) => a - b)).toEqual(turns.map((_, i) => i));
    }),
    { numRuns: 50 },
  );
});
