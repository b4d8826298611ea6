/** The mapping of outcomes onto BullMQ, on a real Redis, through deaths of workers and of Redis itself. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Queue } from "bullmq";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
// biome-ignore lint/style/noRestrictedImports: as above
import type { Stack } from "../../harness/stack/stack.ts";
// biome-ignore lint/style/noRestrictedImports: a test on real servers borrows the harness's stack; the toolkit does not
import { sharedStack } from "../../harness/testing.ts";
// biome-ignore lint/style/noRestrictedImports: as above
import { until } from "../../harness/until.ts";
import { newJob } from "../jobs/job-state.ts";
import { cancel, dead, type Outcome, ok, retry, snooze } from "../jobs/outcome.ts";
import { policyOf } from "../jobs/policy.ts";
import { openRedis } from "./connect.ts";
import { type JobQueue, openJobQueue } from "./job-queue.ts";
import { type DeadJob, type JobWorker, type JobWorkerOptions, startJobWorker } from "./job-worker.ts";

let stack: Stack;
let place: { url: string; prefix: string; name: string; log: () => void };
let queue: JobQueue<string>;
let bull: Queue;
let workers: JobWorker[] = [];
let ended: (() => Promise<unknown>)[] = [];
let run = 0;

beforeAll(async () => {
  stack = await sharedStack();
});

beforeEach(() => {
  run += 1;
  place = {
    url: stack.worker.redisUrl,
    prefix: `jobs-test-${Date.now()}-${run}:`,
    name: "payments",
    log: () => undefined,
  };
  queue = openJobQueue(place);
  const connection = openRedis(stack.direct.redisUrl, { whenAway: "wait", log: () => undefined });
  bull = new Queue(place.name, { connection, prefix: place.prefix.slice(0, -1) });
  ended = [() => queue.close(), () => bull.close(), async () => connection.disconnect()];
});
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.stop()));
  workers = [];
  for (const end of ended) await end();
});

const policy = policyOf({ maxAttempts: 4, baseMs: 100, factor: 2, capMs: 1_000, jitter: 0 });
const within = { timeoutMs: 15_000, everyMs: 20 };

interface Call {
  readonly data: string;
  readonly attempt: number;
  readonly at: number;
}

/** A worker that answers with `outcomes` in turn, the last one for ever, and notes calls and burials. */
function work(outcomes: readonly Outcome[], options: Partial<JobWorkerOptions<string>> = {}) {
  const calls: Call[] = [];
  const buried: DeadJob<string>[] = [];
  const made = new Map<string, number>();
  const worker = startJobWorker<string>({
    ...place,
    policy,
    concurrency: 8,
    perform: async (data, { attempt }) => {
      calls.push({ data, attempt, at: Date.now() });
      const count = made.get(data) ?? 0;
      made.set(data, count + 1);
      return outcomes[Math.min(count, outcomes.length - 1)] ?? ok;
    },
    bury: async (job) => {
      buried.push(job);
    },
    ...options,
  });
  workers.push(worker);
  return { calls, buried, worker };
}

const add = (id: string, state = newJob(id)) => queue.add([{ id, state }]);
const stateOf = async (id: string) => (await bull.getJob(id))?.getState();
const reaches = (id: string, state: string) =>
  until(`job ${id} to be ${state}`, async () => (await stateOf(id)) === state, within);

describe("each outcome is one transition", () => {
  test("ok and cancel complete the job", async () => {
    const { calls } = work([ok]);
    await add("a-job");
    await reaches("a-job", "completed");
    expect(calls).toMatchObject([{ data: "a-job", attempt: 1 }]);
    await workers[0]?.stop();
    work([cancel("refunded")]);
    await add("b-job");
    await reaches("b-job", "completed");
  });

  test("retry delays it by the policy, and the last one is buried with its whole history", async () => {
    const { calls, buried } = work([retry("unavailable", "503")]);
    await add("a-job");
    await reaches("a-job", "failed");
    const waits = calls.slice(1).map(({ at }, i) => at - (calls[i]?.at ?? 0));
    expect(calls.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4]);
    for (const [i, ideal] of [100, 200, 400].entries()) expect(waits[i]).toBeGreaterThanOrEqual(ideal);
    expect(buried).toMatchObject([{ id: "a-job", error: { errorClass: "unavailable", message: "503" } }]);
    expect(buried[0]?.state.history.map(({ attempt, waitMs }) => [attempt, waitMs])).toEqual([
      [1, 100],
      [2, 200],
      [3, 400],
      [4, null],
    ]);
    const job = await bull.getJob("a-job");
    expect(job?.attemptsMade).toBe(4);
    expect(job?.failedReason).toBe("unavailable: 503");
  });

  test("snooze delays it and uses no attempt", async () => {
    const { calls } = work([snooze(150), retry("unavailable", "503"), ok]);
    await add("a-job");
    await reaches("a-job", "completed");
    expect(calls.map(({ attempt }) => attempt)).toEqual([1, 1, 2]);
    expect((calls[1]?.at ?? 0) - (calls[0]?.at ?? 0)).toBeGreaterThanOrEqual(150);
    expect((await bull.getJob("a-job"))?.attemptsMade).toBe(2);
  });

  test("dead is buried after one attempt", async () => {
    const { calls, buried } = work([dead("refused", "422")]);
    await add("a-job");
    await reaches("a-job", "failed");
    expect(calls).toHaveLength(1);
    expect(buried).toMatchObject([{ error: { errorClass: "refused" }, state: { failures: 1 } }]);
  });

  test("what is thrown is a retry", async () => {
    let thrown = 0;
    const { buried } = work([], {
      perform: async () => {
        thrown += 1;
        if (thrown === 1) throw new RangeError("out of range");
        return ok;
      },
    });
    await add("a-job");
    await reaches("a-job", "completed");
    expect(buried).toEqual([]);
    expect((await bull.getJob("a-job"))?.data.history).toMatchObject([{ errorClass: "RangeError" }]);
  });

  test("a success that the worker's store is away for is kept later: it uses no attempt, and none is made again", async () => {
    const last = { ...newJob("a-job"), failures: 3 };
    let failures = 0;
    const kept: string[] = [];
    const { calls, buried } = work([ok, dead("refused", "asked again")], {
      keep: async (data) => {
        failures += 1;
        if (failures < 3) throw new Error("the database is away");
        kept.push(data);
      },
    });
    await add("a-job", last);
    await reaches("a-job", "completed");
    expect(kept).toEqual(["a-job"]);
    expect(calls).toMatchObject([{ attempt: 4 }]);
    expect(buried).toEqual([]);
    expect((await bull.getJob("a-job"))?.data).toMatchObject({ failures: 3, history: [] });
  });

  test("a success that the store will never have is a dead letter; what was cancelled is not kept at all", async () => {
    let kept = 0;
    const { buried } = work([ok], {
      keep: async () => {
        kept += 1;
        throw new RangeError("no such amount");
      },
      isTransient: (error) => !(error instanceof RangeError),
    });
    await add("a-job");
    await reaches("a-job", "failed");
    expect(buried).toMatchObject([{ id: "a-job", error: { errorClass: "RangeError" } }]);
    expect(kept).toBe(1);
    await workers[0]?.stop();
    work([cancel("refunded")], {
      keep: async () => {
        kept += 1;
      },
    });
    await add("b-job");
    await reaches("b-job", "completed");
    expect(kept).toBe(1);
  });

  test("a dead letter that cannot be stored is stored later, and nothing is tried meanwhile", async () => {
    let failures = 0;
    const kept: string[] = [];
    const { calls } = work([dead("refused", "422")], {
      bury: async ({ id }) => {
        failures += 1;
        if (failures < 3) throw new Error("the database is away");
        kept.push(id);
      },
    });
    await add("a-job");
    await reaches("a-job", "failed");
    expect(kept).toEqual(["a-job"]);
    expect(calls).toHaveLength(1);
  });
});

test("a job starts at its time, with the history it was given", async () => {
  const { calls } = work([ok]);
  const notBefore = Date.now() + 400;
  const first = {
    attempt: 1,
    at: new Date().toISOString(),
    tookMs: 3,
    errorClass: "timeout",
    message: "",
    waitMs: 400,
  };
  await add("a-job", { ...newJob("a-job", notBefore), failures: 1, history: [first] });
  await reaches("a-job", "completed");
  expect(calls).toMatchObject([{ attempt: 2 }]);
  expect(calls[0]?.at).toBeGreaterThanOrEqual(notBefore);
});

test("a second job with the same id does nothing, while the first waits, works and after it has ended", async () => {
  const { calls } = work([retry("unavailable", "503"), ok]);
  for (let i = 0; i < 3; i += 1) await add("a-job");
  await reaches("a-job", "delayed");
  await add("a-job");
  await reaches("a-job", "completed");
  await add("a-job");
  await until(
    "the queue to be empty",
    async () => {
      const { delayed, waiting, active } = await queue.count();
      return delayed + waiting + active === 0;
    },
    within,
  );
  expect(calls.map(({ attempt }) => attempt)).toEqual([1, 2]);
});

test("any text is an id: the same one is the same job, and a dead letter has it as it was given", async () => {
  const { buried } = work([dead("refused", "422")]);
  const ids = ["123", "a:b", "a:b:c", "", "wait", "meta", "NaN", "\ud800", "\ud801", '~"a:b"', "a b\n\0"];
  for (let i = 0; i < 2; i += 1) await queue.add(ids.map((id) => ({ id, state: newJob(id) })));
  const areDead = async () => {
    const { failed } = await bull.getJobCounts("failed");
    return failed === ids.length;
  };
  await until("all to be dead", areDead, within);
  expect(buried.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
  expect(await queue.count()).toEqual({ delayed: 0, waiting: 0, active: 0 });
});

test("queues of one Redis do not see each other, and one that is busy does not hold up another", async () => {
  const other = { ...place, name: "refunds" };
  const refunds = openJobQueue<string>(other);
  let release = (): void => undefined;
  const busy = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { calls } = work([ok]);
  workers.push(
    startJobWorker<string>({
      ...other,
      policy,
      perform: () => busy.then(() => ok),
      bury: async () => undefined,
    }),
  );
  await refunds.add([{ id: "a-refund", state: newJob("a-refund") }]);
  await until("the refund to be at work", async () => (await refunds.count()).active === 1, within);
  await add("a-job");
  await reaches("a-job", "completed");
  expect(calls).toHaveLength(1);
  release();
  await until("the refund to be done", async () => (await refunds.count()).active === 0, within);
  await refunds.close();
});

test("a worker that is stopped finishes what is at work, and takes nothing more", async () => {
  let finished = 0;
  let begun = 0;
  const { worker } = work([], {
    concurrency: 2,
    perform: async () => {
      begun += 1;
      await new Promise((resolve) => setTimeout(resolve, 300));
      finished += 1;
      return ok;
    },
  });
  await queue.add(Array.from({ length: 10 }, (_, i) => ({ id: `job-${i}`, state: newJob("x") })));
  await until("two jobs to be at work", () => begun === 2, within);
  await worker.stop();
  expect([begun, finished]).toEqual([2, 2]);
  expect(await queue.count()).toEqual({ delayed: 0, waiting: 8, active: 0 });
});

describe("deaths", () => {
  test("a worker killed in mid-attempt: another makes the attempt again, with its number", async () => {
    await add("a-job");
    const victim = await startVictim();
    await until("the victim to be at work", async () => (await queue.count()).active === 1, within);
    victim.kill("SIGKILL");
    const { calls } = work([ok], { lostAfterMs: 800 });
    await reaches("a-job", "completed");
    expect(calls).toMatchObject([{ attempt: 1 }]);
  });

  test("jobs that wait when Redis is killed are there again: none lost, none early, all with their histories", async () => {
    const reason = stack.cannot("restart", "redis");
    if (reason !== undefined) return expect(reason).toMatch(/\S/);
    const state = { ...newJob("x", Date.now() + 2_500), failures: 3 };
    const ids = Array.from({ length: 300 }, (_, i) => `job-${i}`);
    await queue.add(ids.map((id) => ({ id, state })));
    const { calls } = work([ok]);
    await stack.kill("redis");
    const triedAt = Date.now();
    await expect(queue.add([{ id: "late", state }])).rejects.toThrow();
    expect(Date.now() - triedAt).toBeLessThan(3_000);
    await stack.restart("redis");
    await until("all jobs to be done", () => calls.length >= ids.length, { ...within, timeoutMs: 20_000 });
    expect(Math.min(...calls.map(({ at }) => at))).toBeGreaterThanOrEqual(state.notBefore);
    expect(new Set(calls.map(({ attempt }) => attempt))).toEqual(new Set([4]));
    await queue.add([{ id: "late", state }]);
    await reaches("late", "completed");
  });
});

/** A worker in a process of its own that takes a job and never ends it. */
async function startVictim(): Promise<ChildProcess> {
  const module = new URL("./job-worker.ts", import.meta.url).href;
  const program = `import { startJobWorker } from ${JSON.stringify(module)};
    startJobWorker({ ...${JSON.stringify({ ...place, log: undefined })}, lostAfterMs: 800,
      policy: { maxAttempts: 1, backoff: () => 0 },
      perform: () => new Promise(() => undefined), bury: async () => undefined });`;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "--eval", program], {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    stdio: "ignore",
  });
  ended.push(async () => child.kill("SIGKILL"));
  return child;
}
