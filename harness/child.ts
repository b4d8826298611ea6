/**
 * A program of the harness in a process of its own: it is told things, tells things, and its end ends every wait for it.
 *
 * One that has done what it was for can be kept for the next run: it need not start, and its code is compiled.
 */
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { forkProgram } from "./compiled.ts";
import { stopAtExit } from "./stack/shutdown.ts";
import { until } from "./until.ts";

export interface Child<To extends object> {
  /** Moot when the process has ended or was released. */
  send(message: To): void;
  /** Resolves with the first value that is there. Rejects as `lost` does, and when it takes longer. */
  awaited<T>(what: string, value: () => T | undefined, timeoutMs: number): Promise<T>;
  /** Never resolves; rejects when the process ends or says that it failed. */
  readonly lost: Promise<never>;
  /** Its work is done: nothing more is heard of it, and the process waits for the next `startChild` of its module. */
  release(): void;
  /** Ends the process, unless it was released. Safe to call twice. */
  close(): Promise<void>;
}

export interface ChildOptions<From extends object> {
  /** For people, as in "the gateway". */
  readonly name: string;
  /** Of the module it runs. One that is ever released takes one order after the other. */
  readonly module: URL;
  readonly onMessage: (message: From) => void;
  /** Ends the process, whenever that is, unless it was released. */
  readonly signal?: AbortSignal | undefined;
}

type Failed = { readonly type: "failed"; readonly text: string };

interface Forked {
  readonly child: ChildProcess;
  readonly exited: Promise<void>;
}

/** Released ones, by module. */
const spares = new Map<string, Forked[]>();
// Before any run: what is registered first is stopped last, and a run that is stopped releases some.
stopAtExit({ name: "processes kept for the next run", stop: endSpares, stopNow: killSpares });

export function startChild<To extends object, From extends { readonly type: string }>(
  options: ChildOptions<Exclude<From, Failed>>,
): Child<To> {
  const { name, module, signal, onMessage } = options;
  signal?.throwIfAborted();
  const forked = takeSpare(module) ?? forkChild(module);
  const { child, exited } = forked;
  let trouble: string | undefined;
  let isReleased = false;
  let lose: (error: Error) => void = () => undefined;
  const lost = new Promise<never>((_, reject) => {
    lose = reject;
  });
  // Whoever waits for something else learns of it there.
  lost.catch(() => undefined);
  const fail = (text: string): void => {
    trouble ??= text;
    lose(new Error(`${name} failed: ${trouble}`));
  };
  const hear = (message: From | Failed): void => {
    if (message.type === "failed") fail((message as Failed).text);
    else onMessage(message as Exclude<From, Failed>);
  };
  const ended = (code: number | null, by: string | null): void => fail(`it ended (${by ?? code})`);
  const kill = (): void => {
    child.kill("SIGKILL");
  };
  const letGo = (): void => {
    child.off("message", hear).off("exit", ended);
    signal?.removeEventListener("abort", kill);
  };
  child.on("message", hear).once("exit", ended);
  signal?.addEventListener("abort", kill, { once: true });
  return {
    send(message) {
      if (child.connected && !isReleased) child.send(message, () => undefined);
    },
    async awaited<T>(what: string, value: () => T | undefined, timeoutMs: number): Promise<T> {
      const got = await until(what, () => value() ?? (trouble === undefined ? undefined : { trouble }), {
        timeoutMs,
        everyMs: 10,
      });
      if (typeof got === "object" && got !== null && "trouble" in got) {
        throw new Error(`${name} failed while the harness waited for ${what}: ${got.trouble}`);
      }
      return got as T;
    },
    lost,
    release() {
      if (isReleased || trouble !== undefined) return;
      isReleased = true;
      letGo();
      keepSpare(module, forked);
    },
    async close() {
      if (isReleased) return;
      if (child.exitCode === null && child.signalCode === null) kill();
      await exited;
      letGo();
    },
  };
}

function forkChild(module: URL): Forked {
  const child = forkProgram(fileURLToPath(module), {});
  child.on("error", () => undefined);
  return { child, exited: new Promise((resolve) => child.once("exit", () => resolve())) };
}

/** It keeps no program from ending, and ends with it. */
function keepSpare(module: URL, forked: Forked): void {
  forked.child.unref();
  forked.child.channel?.unref();
  spares.set(module.href, [...(spares.get(module.href) ?? []), forked]);
}

function takeSpare(module: URL): Forked | undefined {
  const kept = spares.get(module.href) ?? [];
  for (let forked = kept.pop(); forked !== undefined; forked = kept.pop()) {
    const { child } = forked;
    if (!child.connected || child.exitCode !== null || child.signalCode !== null) continue;
    child.ref();
    child.channel?.ref();
    return forked;
  }
  return undefined;
}

function killSpares(): readonly Forked[] {
  const all = [...spares.values()].flat();
  spares.clear();
  for (const { child } of all) child.kill("SIGKILL");
  return all;
}

/** Whoever looks when this program has ended finds none of them. */
async function endSpares(): Promise<void> {
  await Promise.all(killSpares().map(({ exited }) => exited));
}
