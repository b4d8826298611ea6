import { expect, test } from "vitest";
import type { WorkerRecord } from "../record/record.ts";
import { badEndings } from "./endings.ts";
import { healthyRecord } from "./testing.ts";

type Exit = NonNullable<WorkerRecord["exit"]>;

const ended = (id: string, exit: Partial<Exit>): WorkerRecord => ({
  id,
  pid: 1,
  startMs: 0,
  readyMs: 1,
  exit: { atMs: 9_000, code: 0, signal: null, planned: true, tail: "", ...exit },
  samples: [],
});

test("a worker that was told to end and did not end with 0 is named, also one of an arm; a killed one is not", () => {
  const record = healthyRecord();
  record.workers = [
    ended("w1", { told: true }),
    ended("w2", { code: null, signal: "SIGKILL" }),
    ended("w3", { told: true, code: 143 }),
  ];
  const arm = { ...record, workers: [ended("w1", { told: true, code: null, signal: "SIGKILL" })] };
  expect(badEndings({ ...record, arms: [{ name: "no jitter", record: arm }] })).toEqual([
    "worker w3 was told to end by SIGTERM and ended with exit code 143; the contract asks for exit code 0 within 10 s",
    'worker w1 of the run "no jitter" was told to end by SIGTERM and ended by SIGKILL; the contract asks for exit code 0 within 10 s',
  ]);
});
