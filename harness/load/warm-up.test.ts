import { expect, test } from "vitest";
import { untilQuick } from "./warm-up.ts";

/** How many rounds of a quarter of a second a broker gets that answers as told; the last figure stands for all that follow. */
async function roundsOf(...p99Ms: readonly number[]): Promise<number> {
  let nowMs = 0;
  let rounds = 0;
  await untilQuick(
    async () => {
      nowMs += 250;
      rounds += 1;
      return p99Ms[rounds - 1] ?? p99Ms.at(-1) ?? Number.NaN;
    },
    { now: () => nowMs },
  );
  return rounds;
}

test("a warm broker gets two rounds", async () => {
  expect(await roundsOf(12)).toBe(2);
});

test("a cold broker gets rounds until it is quick", async () => {
  expect(await roundsOf(950, 320, 80, 60, 30, 20)).toBe(6);
});

test("one quick round between slow ones is not enough", async () => {
  expect(await roundsOf(900, 30, 200, 40, 120, 30, 30)).toBe(7);
});

test("a broker that is never quick, or does not answer, gets 10 s", async () => {
  expect(await roundsOf(300)).toBe(40);
  expect(await roundsOf(Number.POSITIVE_INFINITY)).toBe(40);
});
