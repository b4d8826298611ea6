/** One arm of the ingest benchmark: a worker in a process and a database of its own, started, watched and ended. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Admin } from "kafkajs";
import pg from "pg";
import { descendantsOf, processTable } from "../harness/probe/processes.ts";
import type { Stack } from "../harness/stack/stack.ts";
import { workerEnvironment } from "../harness/subject/contract.ts";

export const arms = ["pipeline", "loop"] as const;
export type ArmName = (typeof arms)[number];

const projectFolder = fileURLToPath(new URL("..", import.meta.url));
const programs: Readonly<Record<ArmName, string>> = {
  pipeline: "labs/ingest/solution.ts",
  loop: "bench/ingest-loop.ts",
};
const exitDeadlineMs = 10_000;

export interface RunningArm {
  readonly db: pg.Client;
  /** Messages covered by the group's committed offsets. */
  committed(): Promise<number>;
  /** Of the worker and whatever it started, since its start. `peakRssBytes` is of the worker's own process. */
  usage(): Promise<{ readonly cpuSeconds: number; readonly peakRssBytes: number }>;
  /** SIGTERM, and its database is dropped. Rejects when it does not exit with 0. */
  stop(): Promise<void>;
}

export interface ArmOptions {
  readonly arm: ArmName;
  readonly stack: Stack;
  readonly admin: Admin;
  readonly topic: string;
  /** Also the name of its database and its group. */
  readonly name: string;
}

/** Resolves when the process was started, not when it is ready. */
export async function startArm({ arm, stack, admin, topic, name }: ArmOptions): Promise<RunningArm> {
  const server = new pg.Client({ connectionString: stack.direct.databaseUrl });
  await server.connect();
  await server.query(`CREATE DATABASE ${name}`);
  // What the arm before left to be written must not slow this one down.
  await server.query("CHECKPOINT");
  const url = new URL(stack.direct.databaseUrl);
  url.pathname = `/${name}`;
  const db = new pg.Client({ connectionString: url.href });
  await db.connect();
  await db.query(readFileSync(`${projectFolder}/labs/ingest/schema.sql`, "utf8"));

  const place = {
    workerId: name,
    topic,
    groupId: name,
    redisPrefix: name,
    ...stack.direct,
    databaseUrl: url.href,
  };
  const settings = { sessionTimeoutMs: 10_000, concurrency: 1, maxInFlight: 10_000 };
  const child = spawn(process.execPath, ["--import", "tsx", programs[arm]], {
    cwd: projectFolder,
    env: {
      PATH: process.env.PATH,
      ...workerEnvironment(place, settings),
      KAFKAJS_NO_PARTITIONER_WARNING: "1",
    },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const exited = exitOf(child);
  let sampledPeak = 0;

  return {
    db,
    async committed() {
      const code = child.exitCode ?? child.signalCode;
      if (code !== null) throw new Error(`the ${arm} ended by itself (${code})`);
      const [group] = await admin.fetchOffsets({ groupId: name, topics: [topic] });
      return (group?.partitions ?? []).reduce((sum, one) => sum + Math.max(0, Number(one.offset)), 0);
    },
    async usage() {
      const table = await processTable();
      const own = descendantsOf(table, [child.pid ?? -1]);
      const cpuMs = table.filter(({ pid }) => own.has(pid)).reduce((sum, one) => sum + one.cpuMs, 0);
      sampledPeak = Math.max(sampledPeak, table.find(({ pid }) => pid === child.pid)?.rssBytes ?? 0);
      return { cpuSeconds: cpuMs / 1_000, peakRssBytes: highWaterMark(child.pid) ?? sampledPeak };
    },
    async stop() {
      child.kill("SIGTERM");
      const code = await exited(exitDeadlineMs);
      await db.end();
      await server.query(`DROP DATABASE ${name} WITH (FORCE)`);
      await server.end();
      if (code !== 0) throw new Error(`the ${arm} ended with ${code}, not with 0`);
    },
  };
}

/** The kernel's own record of the largest resident set, where it keeps one. */
function highWaterMark(pid: number | undefined): number | undefined {
  if (process.platform !== "linux") return undefined;
  const kilobytes = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}

/** Waits for the exit code or signal; after the deadline it kills. */
function exitOf(child: ChildProcess): (deadlineMs: number) => Promise<number | string | null> {
  const exit = new Promise<number | string | null>((resolve) => {
    child.once("exit", (code, signal) => resolve(code ?? signal));
  });
  return async (deadlineMs) => {
    const timer = setTimeout(() => child.kill("SIGKILL"), deadlineMs);
    const code = await exit;
    clearTimeout(timer);
    return code;
  };
}

export async function untilTrue(
  what: string,
  deadlineMs: number,
  everyMs: number,
  holds: () => Promise<boolean>,
): Promise<void> {
  const startedAt = performance.now();
  while (!(await holds())) {
    if (performance.now() - startedAt > deadlineMs) throw new Error(`waited ${deadlineMs} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
