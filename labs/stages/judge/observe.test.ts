import { expect, test } from "vitest";
import type { DrillRun } from "../../../harness/drill.ts";
import { until } from "../../../harness/until.ts";
import { observe, type Seen, seenSchema } from "./observe.ts";

const parameters: Readonly<Record<string, number>> = {
  unit: 4,
  maxDemand: 8,
  minDemand: 4,
  roundDeadlineMs: 2_000,
};
const rounds = 5;

type Post = (path: string, body?: unknown) => Promise<number>;

/** What is seen of a subject that does this in the first round, and nothing in the others. */
async function seenOf(subject: (post: Post) => Promise<void>): Promise<Seen> {
  let asked = 0;
  const began = performance.now();
  const play = async (url: string): Promise<void> => {
    const post: Post = async (path, body) =>
      (await fetch(`${url}/${path}`, { method: "POST", body: JSON.stringify(body) })).status;
    const next = () => post("next").then(() => (asked += 1));
    await next();
    await subject(post);
    // The last is never answered.
    for (let round = 1; round <= rounds; round += 1) await next();
  };
  const run = {
    seed: 1,
    parameter: (name: string) => parameters[name] ?? Number.NaN,
    start: async ({ STAGES_URL }: Record<string, string>) =>
      void play(STAGES_URL ?? "").catch(() => undefined),
    untilReady: (what: string) => until(what, () => asked > 0, { timeoutMs: 2_000, everyMs: 5 }),
    terminate: () => Promise.resolve(),
    begin: () => undefined,
    now: () => performance.now() - began,
    signal: new AbortController().signal,
    say: () => undefined,
  };
  return (await observe(run as unknown as DrillRun)).seen;
}

test("numbers that are too large to count with are seen, and can be recorded", async () => {
  const tooLarge = 2 ** 60;
  const seen = await seenOf(async (post) => {
    await post(`one/ask/${"9".repeat(400)}`);
    await post(`one/ask/${tooLarge}`);
    await post("one/handle/0", [0, tooLarge]);
  });
  const [one] = seen.rounds;
  expect(one?.asks.map(({ count, given }) => [count, given])).toEqual([
    [Number.MAX_SAFE_INTEGER, 4],
    [Number.MAX_SAFE_INTEGER, 0],
  ]);
  expect(one?.handled.event).toEqual([0, tooLarge]);
  expect(seenSchema.parse(JSON.parse(JSON.stringify(seen)))).toEqual(seen);
});
