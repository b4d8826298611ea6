/** A process of the gateway's side: it is told things, tells things, and its end ends every wait for it. */
import { fileURLToPath } from "node:url";
import { forkProgram } from "../compiled.ts";
import { until } from "../until.ts";

export interface Child<To extends object> {
  /** Moot when the process has ended. */
  send(message: To): void;
  /** Resolves with the first value that is there. Rejects when the process ends, or says that it failed, before. */
  awaited<T>(what: string, value: () => T | undefined, timeoutMs: number): Promise<T>;
  /** Ends the process. Safe to call twice. */
  close(): Promise<void>;
}

export interface ChildOptions<From extends object> {
  /** For people, as in "the gateway". */
  readonly name: string;
  /** Of the module it runs. */
  readonly module: URL;
  readonly onMessage: (message: From) => void;
  /** Ends the process, whenever that is. */
  readonly signal?: AbortSignal | undefined;
}

type Failed = { readonly type: "failed"; readonly text: string };

export function startChild<To extends object, From extends { readonly type: string }>(
  options: ChildOptions<Exclude<From, Failed>>,
): Child<To> {
  const { name, module, signal } = options;
  signal?.throwIfAborted();
  const child = forkProgram(
    fileURLToPath(module),
    signal === undefined ? {} : { signal, killSignal: "SIGKILL" },
  );
  child.on("error", () => undefined);
  let trouble: string | undefined;
  child.on("message", (message: From | Failed) => {
    if (message.type === "failed") trouble ??= (message as Failed).text;
    else options.onMessage(message as Exclude<From, Failed>);
  });
  const exited = new Promise<void>((resolve) => {
    child.once("exit", (code, by) => {
      trouble ??= `it ended (${by ?? code})`;
      resolve();
    });
  });
  return {
    send(message) {
      if (child.connected) child.send(message, () => undefined);
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
    async close() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await exited;
    },
  };
}
