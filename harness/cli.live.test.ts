import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Kafka } from "kafkajs";
import pg from "pg";
import { afterAll, describe, expect, test } from "vitest";
import { descendantsOf, processTable } from "./probe/processes.ts";
import { identify } from "./stack/native/identity.ts";
import { sharedStack } from "./testing.ts";
import { until } from "./until.ts";

const project = fileURLToPath(new URL("..", import.meta.url));
const out = join(project, "reports", ".cli-proof");
afterAll(() => rm(out, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command a user types, as a process, with a stack of its own. */
function sluice(...args: string[]) {
  return start({}, args);
}

/** The same on servers that run already: for what has nothing to do with where they come from. */
async function sluiceOnServers(...args: string[]): Promise<Ended> {
  return await start(await servers(), args).ended;
}

async function servers(): Promise<NodeJS.ProcessEnv> {
  const { kafkaBrokers, databaseUrl, redisUrl } = (await sharedStack()).direct;
  return { KAFKA_BROKERS: kafkaBrokers, DATABASE_URL: databaseUrl, REDIS_URL: redisUrl };
}

async function databases(): Promise<string[]> {
  const client = new pg.Client({ connectionString: (await sharedStack()).direct.databaseUrl });
  await client.connect();
  const { rows } = await client.query<{ datname: string }>(
    "SELECT datname FROM pg_database ORDER BY datname",
  );
  await client.end();
  return rows.map(({ datname }) => datname);
}

async function groups(): Promise<string[]> {
  const admin = new Kafka({ brokers: (await sharedStack()).direct.kafkaBrokers.split(",") }).admin();
  await admin.connect();
  const { groups: known } = await admin.listGroups().finally(() => admin.disconnect());
  return known.map(({ groupId }) => groupId).sort();
}

function start(
  env: NodeJS.ProcessEnv,
  args: readonly string[],
): { child: ChildProcess; stderr: () => string; ended: Promise<Ended> } {
  const child = spawn(
    process.execPath,
    ["--import", "tsx", "labs/ingest/run.ts", "--profile", "quick", "--out", out, ...args],
    {
      cwd: project,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  let [stdout, stderr] = ["", ""];
  child.stdout?.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr?.on("data", (chunk) => {
    stderr += chunk;
  });
  const ended = new Promise<Ended>((resolve) =>
    child.once("close", (code) => resolve({ code, stdout, stderr })),
  );
  return { child, stderr: () => stderr, ended };
}

/** For the message of a failed test. */
function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return String(pid);
  }
}

test("--json prints one object with the public keys and nothing else, and the saved run is judged to the same verdict", async () => {
  // A worker that dies of the first poison: the shortest run there is.
  const args = ["--json", "--seed", "11", "--subject", "crash-on-poison"];
  const { code, stdout, stderr } = await sluiceOnServers(...args);
  const result = JSON.parse(stdout);
  expect(code, `${stderr}${stdout}`).toBe(1);
  expect(Object.keys(result)).toEqual(["lab", "subject", "seed", "stack", "verdict", "criteria", "report"]);
  expect(result).toMatchObject({ lab: "ingest", subject: "crash-on-poison", seed: 11 });
  for (const criterion of result.criteria) {
    expect(Object.keys(criterion)).toEqual([
      "id",
      "verdict",
      "measured",
      "threshold",
      "unit",
      "samples",
      "detail",
    ]);
  }
  expect(await readFile(result.report, "utf8")).toContain("<!doctype html>");

  const judge = spawn(
    process.execPath,
    ["--import", "tsx", "harness/cli.ts", "judge", join(result.report, ".."), "--json"],
    { cwd: project },
  );
  let again = "";
  judge.stdout.on("data", (chunk) => {
    again += chunk;
  });
  expect(await new Promise((resolve) => judge.once("close", resolve))).toBe(code);
  expect(JSON.parse(again)).toEqual(result);
});

test("a worker that ends at once gives exit code 3 and the end of its output, and does not hang", async () => {
  const began = performance.now();
  const { code, stderr } = await sluiceOnServers("--", "sh", "-c", "echo cannot find my library >&2; exit 7");
  expect(code).toBe(3);
  expect(stderr).toContain("the worker ended before it was ready (exit code 7)");
  expect(stderr).toContain("cannot find my library");
  // It is noticed when it happens, and not when the 30 s for its start are over.
  expect(performance.now() - began).toBeLessThan(30_000);
});

test("a command that does not exist gives exit code 3 and names it", async () => {
  const { code, stderr } = await sluiceOnServers("--", "no-such-program");
  expect(code).toBe(3);
  expect(stderr).toContain('cannot start the worker "no-such-program"');
});

test.each([
  [["--subject", "nobody"], 'there is no subject "nobody"'],
  [["--profile", "slow"], "Allowed choices are quick, full"],
  [["--watch", "--", "python3", "-m", "worker"], "-- python3 worker.py"],
])("bad usage %j gives exit code 3 and the way out, before anything is started", async (args, text) => {
  const { code, stderr } = await sluiceOnServers(...args);
  expect(code).toBe(3);
  expect(stderr).toContain(text);
});

/** What of these processes is still there; one that has ended and waits for init to take note of it is not (a zombie). */
async function left(ours: ReadonlySet<number>): Promise<string[]> {
  const table = await processTable();
  return table
    .filter(({ pid }) => ours.has(pid) && identify(pid) !== undefined)
    .map(({ pid }) => commandOf(pid));
}

const familyOf = async ({ pid = -1 }: ChildProcess) => descendantsOf(await processTable(), [pid]);

const said = (text: string, stderr: () => string) =>
  until(`"${text}" on stderr`, () => stderr().includes(text), { timeoutMs: 60_000 });

describe("nothing is left running", () => {
  test("by Ctrl-C while the stack starts", async () => {
    const { child, stderr, ended } = sluice("--seed", "5");
    await said("stack", stderr);
    // Its servers are starting.
    await new Promise((resolve) => setTimeout(resolve, 500));
    const ours = await familyOf(child);
    child.kill("SIGINT");
    expect((await ended).code).toBe(130);
    expect(await left(ours)).toEqual([]);
  });

  test("by Ctrl-C while the worker is dead, nor anything on servers that it found", async () => {
    const made = async () => [...(await databases()), ...(await groups())];
    const before = await made();
    const { child, stderr, ended } = start(await servers(), ["--seed", "5"]);
    await said("SIGKILL", stderr);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const ours = await familyOf(child);
    child.kill("SIGINT");
    expect((await ended).code).toBe(130);
    expect(await left(ours)).toEqual([]);
    expect((await made()).filter((name) => !before.includes(name))).toEqual([]);
  });

  test("by a harness that was killed, once the next one has started; nor by that one after Ctrl-C in mid-load", async () => {
    const killed = sluice("--seed", "6");
    await said("steady", killed.stderr);
    const ofKilled = await familyOf(killed.child);
    killed.child.kill("SIGKILL");
    await killed.ended;

    const { child, stderr, ended } = sluice("--seed", "5");
    await said("steady", stderr);
    expect(await left(ofKilled)).toEqual([]);
    const ours = await familyOf(child);
    child.kill("SIGINT");
    expect((await ended).code).toBe(130);
    expect(await left(ours)).toEqual([]);
  });
});
