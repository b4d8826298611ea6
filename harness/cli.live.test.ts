import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
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
  const { kafkaBrokers, databaseUrl, redisUrl } = (await sharedStack()).direct;
  return await start({ KAFKA_BROKERS: kafkaBrokers, DATABASE_URL: databaseUrl, REDIS_URL: redisUrl }, args)
    .ended;
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
])("bad usage %j gives exit code 3 and the way out, before anything is started", async (args, text) => {
  const { code, stderr } = await sluiceOnServers(...args);
  expect(code).toBe(3);
  expect(stderr).toContain(text);
});

describe("Ctrl-C leaves nothing running", () => {
  test.each([
    ["while the stack starts", "", 700],
    ["in mid-load", "steady", 300],
    ["while the worker is dead", "SIGKILL", 200],
  ])("%s", async (_when, line, afterMs) => {
    const { child, stderr, ended } = sluice("--seed", "5");
    await until(`"${line}" on stderr`, () => stderr().includes(line), { timeoutMs: 60_000 });
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    const ours = descendantsOf(await processTable(), [child.pid ?? -1]);
    child.kill("SIGINT");
    const { code } = await ended;
    // Before its handlers are installed the signal itself ends the process: nothing was started yet.
    expect([130, null]).toContain(code);
    // One that has ended and waits for init to take note of it is none (a zombie).
    const left = (await processTable()).filter(({ pid }) => ours.has(pid) && identify(pid) !== undefined);
    expect(left.map(({ pid }) => commandOf(pid))).toEqual([]);
  });
});

test("a harness that is killed leaves nothing once the next one has started", async () => {
  const { child, stderr, ended } = sluice("--seed", "6");
  await until("the load on stderr", () => stderr().includes("steady"), { timeoutMs: 60_000 });
  const ours = descendantsOf(await processTable(), [child.pid ?? -1]);
  child.kill("SIGKILL");
  await ended;
  const next = await sluice("--", "false").ended;
  expect(next.code).toBe(3);
  const left = (await processTable()).filter(({ pid }) => ours.has(pid));
  expect(left.map(({ pid }) => commandOf(pid))).toEqual([]);
});
