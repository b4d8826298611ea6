/**
 * What an operator does after the load: commands run as processes, one after the other, as a person would run them,
 * and statements tried on the database as the worker's user. Nothing is concluded here.
 */
import { spawn } from "node:child_process";
import pg from "pg";
import { compiledCommand } from "../compiled.ts";
import type { OperationStep } from "../record/record.ts";
import { until } from "../until.ts";

export interface Operation {
  /** Script of the operator's tool for a subject that brings none of its own. */
  readonly tool: string;
  /** Queries by name whose rows a step may keep; cells come as text. */
  readonly looks: Readonly<Record<string, string>>;
  readonly steps: readonly Step[];
}

interface AnyStep {
  readonly name: string;
  /** Begins together with the step before it, and looks are taken when all of them have ended. */
  readonly beside?: true;
  /** Gives one row with one boolean; waited for after the step, for at most 10 s. What never came is noted. */
  readonly awaits?: string;
  /** Names of the looks taken after the step. */
  readonly looks?: readonly string[];
}

/** Steps that ran so far, by name; throws a RangeError for one that did not. */
export type SoFar = (name: string) => OperationStep;

export type Step = AnyStep &
  (
    | {
        /** Arguments of the operator's command. */
        readonly args: (soFar: SoFar) => readonly string[];
        /** Longer ones are killed. Default 30 s. */
        readonly withinMs?: number;
        /** Gives one row with one boolean, from a number in [0, 1) of the seed; the command is killed when it is true. */
        readonly killWhen?: (random: number) => string;
      }
    | { readonly sql: string }
  );

export interface OperateOptions {
  readonly operation: Operation;
  /** Of the operator, without the step's arguments. */
  readonly command: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** The probe's connection. */
  readonly database: pg.Client;
  /** As the worker connects. */
  readonly workerDatabaseUrl: string;
  /** In [0, 1). */
  readonly random: () => number;
  readonly now: () => number;
  readonly signal: AbortSignal;
  readonly onProgress: (event: string) => void;
  /** Notes a process while it lives; gives the function that crosses it out. */
  readonly enter: (pid: number) => () => void;
}

const stepWithinMs = 30_000;
const awaitWithinMs = 10_000;
const killLookEveryMs = 3;
const maxOutput = 4_000_000;
const tailLength = 2_000;

export async function operate(options: OperateOptions): Promise<OperationStep[]> {
  const done: OperationStep[] = [];
  const soFar: SoFar = (name) => {
    const step = done.find((one) => one.name === name);
    if (step === undefined) throw new RangeError(`no step "${name}" ran before`);
    return step;
  };
  for (const together of groups(options.operation.steps)) {
    options.signal.throwIfAborted();
    options.onProgress(`operate: ${together.map(({ name }) => name).join(", ")}`);
    const ended = await Promise.all(together.map((step) => perform(step, soFar, options)));
    for (const [i, { awaits, looks = [] }] of together.entries()) {
      const awaited = awaits === undefined ? null : await comesTrue(awaits, options);
      const taken: OperationStep["looks"] = {};
      for (const name of looks) taken[name] = await look(options.operation.looks[name] ?? "", options);
      const step = ended[i];
      if (step !== undefined) done.push({ ...step, awaited, looks: taken });
    }
  }
  return done;
}

function groups(steps: readonly Step[]): Step[][] {
  const all: Step[][] = [];
  for (const step of steps) {
    const last = all.at(-1);
    if (step.beside === true && last !== undefined) last.push(step);
    else all.push([step]);
  }
  return all;
}

async function perform(
  step: Step,
  soFar: SoFar,
  options: OperateOptions,
): Promise<Omit<OperationStep, "awaited" | "looks">> {
  const startMs = options.now();
  const result =
    "sql" in step ? await tryStatement(step.sql, options) : await runCommand(step, soFar, options);
  return { name: step.name, startMs, endMs: options.now(), ...result };
}

async function look(sql: string, { database }: OperateOptions): Promise<(string | null)[][]> {
  const { rows } = await database.query<unknown[]>({ text: sql, rowMode: "array" });
  return rows.map((row) => row.map((cell) => (cell === null ? null : String(cell))));
}

type Result = Pick<OperationStep, "args" | "code" | "killed" | "stdout" | "stderr" | "sql" | "sqlState">;

async function runCommand(
  step: Extract<Step, { args: unknown }>,
  soFar: SoFar,
  options: OperateOptions,
): Promise<Result> {
  const [program = "", ...first] = compiledCommand(options.command);
  let args: string[];
  try {
    args = [...step.args(soFar)];
  } catch (error) {
    // What an earlier step should have told is not there: the command cannot be made.
    const why = error instanceof Error ? error.message : String(error);
    return { args: [], code: null, killed: false, stdout: "", stderr: why, sql: null, sqlState: null };
  }
  const child = spawn(program, [...first, ...args], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const crossOut = child.pid === undefined ? () => undefined : options.enter(child.pid);
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    if (stdout.length < maxOutput) stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-tailLength);
  });
  let over = false;
  const ended = new Promise<number | null>((resolve) => {
    child.once("error", (error) => {
      stderr += error.message;
      resolve(null);
    });
    child.once("close", (code) => resolve(code));
  }).finally(() => {
    over = true;
    crossOut();
  });
  const kill = (): void => {
    if (!over && child.pid !== undefined) killGroup(child.pid);
  };
  const timer = setTimeout(kill, step.withinMs ?? stepWithinMs);
  options.signal.addEventListener("abort", kill, { once: true });
  let killed = false;
  if (step.killWhen !== undefined) {
    const sql = step.killWhen(options.random());
    const killing = until("the moment to kill", async () => over || (await isTrue(sql, options)), {
      timeoutMs: stepWithinMs,
      everyMs: killLookEveryMs,
      signal: options.signal,
    });
    await killing.catch(() => undefined);
    killed = !over;
    kill();
  }
  const code = await ended;
  clearTimeout(timer);
  options.signal.removeEventListener("abort", kill);
  return { args, code, killed, stdout, stderr, sql: null, sqlState: null };
}

async function tryStatement(sql: string, { workerDatabaseUrl }: OperateOptions): Promise<Result> {
  const client = new pg.Client({ connectionString: workerDatabaseUrl });
  client.on("error", () => undefined);
  const base = { args: null, killed: false, stdout: "", sql };
  try {
    await client.connect();
    await client.query(sql);
    return { ...base, code: 0, stderr: "", sqlState: null };
  } catch (error) {
    const state = error instanceof Error && "code" in error ? String(error.code) : null;
    return {
      ...base,
      code: 1,
      stderr: error instanceof Error ? error.message : String(error),
      sqlState: state,
    };
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function isTrue(sql: string, { database }: OperateOptions): Promise<boolean> {
  const { rows } = await database.query<[boolean]>({ text: sql, rowMode: "array" });
  return rows[0]?.[0] === true;
}

async function comesTrue(sql: string, options: OperateOptions): Promise<boolean> {
  try {
    await until(sql, () => isTrue(sql, options), { timeoutMs: awaitWithinMs, signal: options.signal });
    return true;
  } catch {
    options.signal.throwIfAborted();
    return false;
  }
}

function killGroup(groupId: number): void {
  try {
    process.kill(-groupId, "SIGKILL");
  } catch {
    // It has ended meanwhile.
  }
}
