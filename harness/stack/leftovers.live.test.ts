/** What remains of a harness that ended: nothing; and what one leaves that was killed, the next one removes. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { connects, exists } from "./contract.ts";
import { cacheFolder } from "./native/cache.ts";
import type { Endpoints } from "./stack.ts";

interface Harness {
  readonly process: ChildProcess;
  readonly errors: () => string;
  /** Resolves with the next line of standard output. */
  readonly line: () => Promise<string>;
}

interface Held {
  readonly pids: readonly number[];
  readonly addresses: readonly string[];
}

const started: ChildProcess[] = [];
afterAll(() => {
  for (const child of started) child.kill("SIGKILL");
});

function startHarness(...args: readonly string[]): Harness {
  const script = fileURLToPath(new URL("./hold-stack.ts", import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", script, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  started.push(child);
  let errors = "";
  child.stderr.on("data", (chunk) => {
    errors += chunk;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async (): Promise<string> => {
    const next = await lines.next();
    if (next.done === true) throw new Error(`the harness ended early: ${errors}`);
    return next.value;
  };
  return { process: child, errors: () => errors, line };
}

async function ready(harness: Harness): Promise<Held> {
  for (;;) {
    const line = await harness.line();
    if (!line.startsWith("{")) continue;
    const { pids, direct, worker } = JSON.parse(line) as {
      pids: number[];
      direct: Endpoints;
      worker: Endpoints;
    };
    const hosts = [direct, worker].flatMap((it) => [
      it.kafkaBrokers,
      new URL(it.databaseUrl).host,
      new URL(it.redisUrl).host,
    ]);
    return { pids, addresses: hosts };
  }
}

async function exitOf(harness: Harness): Promise<number | string> {
  const [code, signal] = await once(harness.process, "exit");
  return code ?? signal;
}

/** Folders of runs whose harness has this process id. */
const runsOf = (harness: Harness): readonly string[] =>
  readdirSync(join(cacheFolder(process.env), "runs")).filter(
    (name) => name.split(".")[2] === String(harness.process.pid),
  );

async function expectNothingLeft(harness: Harness, held: Held): Promise<void> {
  expect(held.pids.filter(exists)).toEqual([]);
  expect(await Promise.all(held.addresses.map(connects))).toEqual(held.addresses.map(() => false));
  expect(runsOf(harness)).toEqual([]);
}

describe("a harness that ends", () => {
  it("by SIGKILL leaves servers, which the next start removes; by an error or SIGINT it leaves nothing", async () => {
    const killed = startHarness();
    const left = await ready(killed);
    killed.process.kill("SIGKILL");
    await exitOf(killed);
    expect(left.pids.filter(exists).length).toBeGreaterThan(2);

    const interrupted = startHarness();
    const held = await ready(interrupted);
    await expectNothingLeft(killed, left);
    expect(interrupted.errors()).toContain("earlier run");

    await endByError();
    // A living harness's stack was not taken for a leftover by the one that started and ended beside it.
    expect(held.pids.every(exists)).toBe(true);
    interrupted.process.kill("SIGINT");
    expect(await exitOf(interrupted)).toBe(130);
    await expectNothingLeft(interrupted, held);
  });

  /** By an error that nobody caught: it is shown, nothing is left, the exit code is 3. */
  async function endByError(): Promise<void> {
    const broken = startHarness("throw");
    const held = await ready(broken);
    expect(await exitOf(broken)).toBe(3);
    expect(broken.errors()).toContain("nobody catches this");
    await expectNothingLeft(broken, held);
  }

  it.each([1, 300, 900])(
    "by Ctrl-C %i ms into its start leaves nothing and says so briefly",
    async (afterMs) => {
      const harness = startHarness();
      await harness.line();
      const timer = setTimeout(() => harness.process.kill("SIGINT"), afterMs);
      const code = await exitOf(harness);
      clearTimeout(timer);
      expect(code).toBe(130);
      expect(runsOf(harness)).toEqual([]);
      expect(harness.errors()).not.toMatch(/\n\s+at |ended by itself/);
    },
  );
});
