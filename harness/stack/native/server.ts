/** One server of a run: started, awaited, paused, killed and started again on the same address and data. */
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ProcessUsage } from "../../probe/processes.ts";
import { isPortInUse } from "../free-ports.ts";
import type { Condition } from "../readiness.ts";
import { until } from "../readiness.ts";
import type { StackProgress } from "../stack.ts";
import { end, gone, killTree, signal } from "./ending.ts";
import { descendants } from "./identity.ts";
import type { Run, Started, User } from "./run.ts";
import { tail } from "./tools.ts";

export interface ServerSpec {
  /** For people: "PostgreSQL". */
  readonly title: string;
  /** For the record and the log file: "postgres". */
  readonly label: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly user?: User | undefined;
  /** Met when it really answers; gives its version. */
  readonly ready: Condition<string>;
  readonly startTimeoutMs: number;
  /** How it is asked to end when it is restarted without having been killed, and how long that may take. */
  readonly politeEnd: { readonly signal: NodeJS.Signals; readonly graceMs: number };
}

export interface RunningServer {
  readonly version: string;
  pause(): Promise<void>;
  resume(): Promise<void>;
  kill(): Promise<void>;
  restart(): Promise<void>;
  /** It and its children; empty when it is not running. */
  processIds(table?: readonly ProcessUsage[]): readonly number[];
}

/**
 * Starts a server and waits until it answers.
 *
 * @throws NotMet with the tail of its log, when it does not answer in time or ends instead
 */
export async function startServer(
  run: Run,
  spec: ServerSpec,
  onProgress: StackProgress,
): Promise<RunningServer> {
  const logFile = join(run.folder, "logs", `${spec.label}.log`);
  let current: { readonly started: Started; readonly ended: () => string | undefined } | undefined;
  /** Ends that were asked for are no news. */
  let expected = false;

  const answers = (timeoutMs: number): Promise<string> =>
    until(spec.ready, {
      timeoutMs,
      hopeless: () => {
        const how = current === undefined ? "not started" : current.ended();
        if (how === undefined) return undefined;
        // Said here, because a server may log much between this line and its end.
        return `it ended by itself (${how})${isPortInUse(textOf(logFile)) ? ", a port's address already in use" : ""}`;
      },
      logTail: () => tailOfFile(logFile),
    });

  const launch = async (): Promise<string> => {
    const log = openSync(logFile, "a");
    expected = false;
    let how: string | undefined;
    let ready = false;
    try {
      const { file, args, cwd, env, user } = spec;
      const started = await run.spawn(spec.label, file, args, {
        cwd,
        env,
        user,
        stdio: ["ignore", log, log],
      });
      current = { started, ended: () => how };
      void started.ended.then((ended) => {
        how = ended;
        if (ready && !expected && !run.stopping())
          onProgress([`${spec.title} ended by itself (${ended})`, ...tailOfFile(logFile)].join("\n"));
      });
    } finally {
      closeSync(log);
    }
    const version = await answers(spec.startTimeoutMs);
    ready = true;
    return version;
  };

  const running = (): Started => {
    if (current === undefined || current.ended() !== undefined)
      throw new Error(`${spec.title} is not running`);
    return current.started;
  };
  const tree = (table?: readonly ProcessUsage[]): readonly number[] => {
    const { pid } = running().identity;
    return [pid, ...descendants(pid, table)];
  };

  const version = await launch();
  return {
    version,
    processIds: (table) => (current === undefined || current.ended() !== undefined ? [] : tree(table)),
    pause: async () => {
      // The parent first: what is stopped cannot fork another that answers.
      const { pid } = running().identity;
      signal(pid, "SIGSTOP");
      for (const child of descendants(pid)) signal(child, "SIGSTOP");
    },
    resume: async () => {
      for (const pid of tree()) signal(pid, "SIGCONT");
      await answers(spec.startTimeoutMs);
    },
    kill: async () => {
      const { identity, ended } = running();
      expected = true;
      await gone(killTree(identity));
      await ended;
    },
    restart: async () => {
      if (current !== undefined && current.ended() === undefined) {
        expected = true;
        await end(current.started.identity, spec.politeEnd);
        await current.started.ended;
      }
      await launch();
    },
  };
}

/** The last lines of a log file, ready to be shown; empty when there is none. */
export const tailOfFile = (file: string): readonly string[] => tail(textOf(file).slice(-20_000).split("\n"));

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
