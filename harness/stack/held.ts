/** For tests of the harness's end: harnesses in processes of their own (hold-stack.ts), to be ended in every way. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Endpoints, StackKind } from "./stack.ts";

export interface Harness {
  readonly process: ChildProcess;
  readonly errors: () => string;
  /** Resolves with the next line of standard output. */
  readonly line: () => Promise<string>;
}

export interface Held {
  readonly pids: readonly number[];
  readonly addresses: readonly string[];
  readonly direct: Endpoints;
}

const started: ChildProcess[] = [];

export function startHarness(kind: StackKind, ...args: readonly string[]): Harness {
  const script = fileURLToPath(new URL("./hold-stack.ts", import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", script, kind, ...args], {
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

/** SIGKILL to every harness that a test began and did not end. */
export function killHarnesses(): void {
  for (const child of started) child.kill("SIGKILL");
}

export async function ready(harness: Harness): Promise<Held> {
  for (;;) {
    const line = await harness.line();
    if (!line.startsWith("{")) continue;
    const { pids, direct, worker } = JSON.parse(line) as {
      pids: number[];
      direct: Endpoints;
      worker: Endpoints;
    };
    const addresses = [direct, worker].flatMap((it) => [
      it.kafkaBrokers,
      new URL(it.databaseUrl).host,
      new URL(it.redisUrl).host,
    ]);
    return { pids, addresses, direct };
  }
}

/** Its exit code, or the signal that ended it. */
export async function exitOf(harness: Harness): Promise<number | string> {
  const { exitCode, signalCode } = harness.process;
  if (exitCode !== null || signalCode !== null) return exitCode ?? signalCode ?? "";
  const [code, signal] = await once(harness.process, "exit");
  return code ?? signal;
}
