import { expect, test } from "vitest";
import { loggedTelemetry, messageOf, sparingly } from "./log.ts";

test("the same line comes once in the interval, another at once", () => {
  const lines: string[] = [];
  let now = 0;
  const say = sparingly(
    (line) => lines.push(line),
    100,
    () => now,
  );
  say("lost");
  say("lost");
  say("found");
  now = 99;
  say("lost");
  expect(lines).toEqual(["lost", "found"]);
  now = 100;
  say("lost");
  expect(lines).toEqual(["lost", "found", "lost"]);
});

test("a write that fails is told with its reason", () => {
  const lines: string[] = [];
  const telemetry = loggedTelemetry((line) => lines.push(line));
  const failed = {
    pipeline: "p",
    batcher: "default",
    messages: 3,
    attempt: 1,
    next: "retry",
    waitMs: 50,
  } as const;
  telemetry
    .channel("batch.failed")
    .emit({ ...failed, error: new Error('relation "payments" does not exist') });
  expect(lines).toEqual(['cannot write a batch (retry): relation "payments" does not exist']);
});

test("an error without a message of its own still says something", () => {
  expect(
    messageOf(
      new AggregateError([
        new Error("connect ECONNREFUSED ::1"),
        new Error("connect ECONNREFUSED 127.0.0.1"),
      ]),
    ),
  ).toBe("connect ECONNREFUSED ::1; connect ECONNREFUSED 127.0.0.1");
  expect(messageOf(new TypeError())).toBe("TypeError");
  expect(messageOf("plain")).toBe("plain");
});
