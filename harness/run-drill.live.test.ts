import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { CannotRun } from "./cannot-run.ts";
import type { Drill } from "./drill.ts";
import { conduct, judgeAndDraw } from "./experiment.ts";
import { readRecord } from "./record/file.ts";
import { until } from "./until.ts";

const out = await mkdtemp(join(tmpdir(), "sluice-drill-"));
afterAll(() => rm(out, { recursive: true, force: true }));
/** What a subject makes once it runs. */
const runs = join(out, "runs");

/** Asks of its subject to live for a while. */
const drill: Drill<{ readonly livedMs: number }> = {
  kind: "drill",
  name: "living",
  title: "a subject that lives",
  question: "Does it live?",
  home: import.meta.url,
  profiles: { quick: { forMs: 300 }, full: { forMs: 300 } },
  seen: z.object({ livedMs: z.number() }),
  async observe(run) {
    const subject = await run.start({ GREETING: "hello", RUNS: runs });
    await run.untilReady("the subject to run", () => existsSync(runs));
    run.begin();
    await until(
      "the subject to have lived long enough",
      () => run.now() > run.parameter("forMs") || subject.exit() !== undefined,
      { timeoutMs: 5_000, signal: run.signal },
    );
    const livedMs = run.now();
    await run.terminate();
    return { seen: { livedMs }, phases: [{ name: "life", startMs: 0, endMs: livedMs, perSecond: 1 }] };
  },
  criteria: [
    {
      id: "lived",
      claim: "It lived.",
      judge: ({ seen, parameter }) => ({
        verdict: seen.livedMs >= parameter("forMs") ? "pass" : "fail",
        measured: seen.livedMs,
        threshold: ">= 300",
        unit: "ms",
        samples: 1,
        detail: "It was looked at once.",
      }),
    },
  ],
  charts: () => [],
};

const run = (program: string) =>
  conduct({
    lab: drill,
    stack: undefined,
    subject: { name: "command", command: [process.execPath, "-e", program], files: [] },
    profile: "quick",
    seed: 1,
    out,
    command: "again",
    cwd: out,
    onProgress: () => undefined,
  });

test("a drill runs its subject without any stack, and its saved record gets the same verdict", async () => {
  const outcome = await run(
    `const { GREETING, RUNS, WORKER_ID } = process.env;
     if (GREETING === 'hello' && WORKER_ID === 'w1') {
       require('node:fs').writeFileSync(RUNS, '');
       setInterval(() => {}, 1000);
     }`,
  );
  expect(outcome.problems).toEqual([
    "worker w1 was told to end by SIGTERM and ended by SIGTERM; the contract asks for exit code 0 within 10 s",
  ]);
  expect(outcome.verdict).toMatchObject({ lab: "living", stack: "none", verdict: "pass" });
  const record = await readRecord(outcome.folder);
  expect(record.workers).toMatchObject([{ id: "w1", exit: { planned: true, signal: "SIGTERM" } }]);
  expect((await judgeAndDraw(record, drill, outcome.folder)).verdict).toEqual(outcome.verdict);
});

test("a subject that ends by itself could not be run, and its last words are told", async () => {
  await rm(runs, { force: true });
  const failed = await run("console.error('no'); process.exitCode = 1").catch((error: unknown) => error);
  expect(failed).toBeInstanceOf(CannotRun);
  expect(failed).toMatchObject({ remedies: [expect.stringContaining("no")] });
});
