import { describe, expect, it } from "vitest";
import { inTurn, NotMet, until } from "./readiness.ts";

const failure = async (promise: Promise<unknown>): Promise<NotMet> => {
  const error = await promise.catch((caught: unknown) => caught);
  if (!(error instanceof NotMet)) throw new Error(`expected NotMet, got ${String(error)}`);
  return error;
};

describe("until", () => {
  it("gives what the probe gave, once the probe no longer throws", async () => {
    let attempts = 0;
    const condition = {
      what: "the third attempt",
      probe: async () => {
        attempts += 1;
        if (attempts < 3) throw new Error("not yet");
        return attempts;
      },
    };
    expect(await until(condition, { timeoutMs: 1_000, everyMs: 1 })).toBe(3);
  });

  it("names what was awaited, how long, the last failure, and the log's tail", async () => {
    const error = await failure(
      until(
        { what: "Redis to answer on 127.0.0.1:1", probe: () => Promise.reject(new Error("refused")) },
        { timeoutMs: 120, everyMs: 5, logTail: () => ["last line of the log"] },
      ),
    );
    expect(error.summary).toMatch(/^waited 0\.\d s for Redis to answer on 127\.0\.0\.1:1: refused$/);
    expect(error.message.split("\n")).toEqual([error.summary, "last line of the log"]);
  });

  it("does not hang on a probe that never settles", async () => {
    const error = await failure(
      until({ what: "silence", probe: () => new Promise(() => {}) }, { timeoutMs: 100, attemptMs: 30 }),
    );
    expect(error.summary).toContain("no answer within");
  });

  it("shows the last failure that was given time, not the attempt that the deadline cut short", async () => {
    let attempts = 0;
    const probe = (): Promise<void> => {
      attempts += 1;
      return attempts === 1 ? Promise.reject(new Error("wrong password")) : new Promise(() => {});
    };
    const error = await failure(until({ what: "a login", probe }, { timeoutMs: 60, everyMs: 1 }));
    expect(error.summary).toContain("wrong password");
  });

  it("ends at once when waiting has become hopeless", async () => {
    const startedAt = performance.now();
    const error = await failure(
      until(
        { what: "a dead server", probe: () => Promise.reject(new Error("refused")) },
        { timeoutMs: 30_000, hopeless: () => "it exited with code 1" },
      ),
    );
    expect(error.summary).toContain("it exited with code 1");
    expect(performance.now() - startedAt).toBeLessThan(1_000);
  });

  it("does not believe an answer when the process behind it is gone: a stranger has its port", async () => {
    const stranger = { what: "an answer", probe: async () => "hello" };
    const error = await failure(until(stranger, { timeoutMs: 100, hopeless: () => "it exited" }));
    expect(error.summary).toContain("it exited");
  });
});

describe("inTurn", () => {
  it("names the step that failed", async () => {
    const open = { what: "the port to open", probe: async () => 1 };
    const answer = { what: "an answer", probe: () => Promise.reject(new Error("silence")) };
    const error = await failure(until(inTurn(open, answer), { timeoutMs: 20, everyMs: 5 }));
    expect(error.summary).toContain("still waiting for an answer: silence");
  });
});
