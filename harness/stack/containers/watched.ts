/** A service in a container that exists: awaited, paused, killed and started again on the same address and data. */
import type { RunningServer } from "../native/server.ts";
import { NotMet, until } from "../readiness.ts";
import type { StackProgress } from "../stack.ts";
import type { Engine } from "./engine.ts";
import { processesOf } from "./processes.ts";
import type { ServiceSpec } from "./services.ts";

export interface Site {
  readonly engine: Engine;
  readonly onProgress: StackProgress;
  /** Whether the end of the stack has begun: what ends now was ended. */
  readonly stopping: () => boolean;
}

/** Its process ids are this machine's; there are none where the engine's processes cannot be seen from here. */
export interface RunningContainer extends RunningServer {
  /** Stops listening for its end; the container itself is left as it is. */
  forget(): void;
}

const politeSeconds = 10;

export interface WatchedContainer extends RunningContainer {
  /** Resolves when the service answers. @param starting rejects with the engine's error when it refuses to start it */
  answers(starting?: Promise<unknown>): Promise<void>;
}

/** What of a service is needed once its container exists. */
export type Watchable = Pick<ServiceSpec, "title" | "ready" | "startTimeoutMs" | "ports">;

/** For the rest of the container's life. */
export function watchedContainer(site: Site, spec: Watchable, id: string): WatchedContainer {
  const { docker } = site.engine;
  const container = docker.getContainer(id);
  const listening = new AbortController();
  let life = newLife();
  let version = "unknown";
  let pids: RunningContainer["processIds"] = () => [];

  /** From a start to an end. An end that was asked for is no news. */
  function newLife(): { ended?: string; expected: boolean; ready: boolean } {
    const it: ReturnType<typeof newLife> = { expected: false, ready: false };
    container
      .wait({ condition: "next-exit", abortSignal: listening.signal })
      .then(async ({ StatusCode }: { readonly StatusCode: number }) => {
        it.ended = `exit code ${StatusCode}`;
        if (!it.ready || it.expected || site.stopping()) return;
        const tail = await logTail();
        site.onProgress([`${spec.title} ended by itself (${it.ended})`, ...tail].join("\n"));
      })
      .catch(() => {});
    return it;
  }

  const logTail = async (): Promise<readonly string[]> => {
    const log = await container.logs({ stdout: true, stderr: true, tail: 15, follow: false }).catch(() => "");
    return logLines(Buffer.from(log as Buffer)).map((line) => `  | ${line.slice(0, 300)}`);
  };
  const answers = async (starting: Promise<unknown> = Promise.resolve()): Promise<void> => {
    let refused: { readonly error: unknown } | undefined;
    starting.catch((error: unknown) => {
      refused = { error };
    });
    try {
      version = await until(spec.ready, {
        timeoutMs: spec.startTimeoutMs,
        hopeless: () =>
          life.ended === undefined ? refused && "the engine refused" : `it ended by itself (${life.ended})`,
      });
    } catch (error) {
      if (refused !== undefined) throw refused.error;
      throw error instanceof NotMet ? new NotMet(error.summary, await logTail()) : error;
    }
    life.ready = true;
    pids = await processesOf(docker, id, spec.ports);
  };
  const gone = async (): Promise<void> => {
    const stopped = {
      what: `${spec.title}'s container to end`,
      probe: async () => {
        if ((await container.inspect()).State.Running) throw new Error("it still runs");
      },
    };
    await until(stopped, { timeoutMs: (politeSeconds + 5) * 1_000, everyMs: 10 });
    // The engine's news of it may come a moment later.
    life.ended ??= "it was ended";
  };
  return {
    get version() {
      return version;
    },
    answers,
    processIds: (table) => (life.ended === undefined ? pids(table) : []),
    pause: () => container.pause(),
    resume: async () => {
      await container.unpause();
      await answers();
    },
    kill: async () => {
      life.expected = true;
      await container.kill({ signal: "SIGKILL" });
      await gone();
    },
    restart: async () => {
      if (life.ended === undefined) {
        life.expected = true;
        await container.stop({ t: politeSeconds });
        await gone();
      }
      life = newLife();
      await container.start();
      await answers();
    },
    forget: () => listening.abort(),
  };
}

/** The engine frames each piece of a log with eight bytes: stream, and length. */
export function logLines(framed: Buffer): readonly string[] {
  let text = "";
  for (let at = 0; at + 8 <= framed.length; ) {
    const length = framed.readUInt32BE(at + 4);
    text += framed.toString("utf8", at + 8, at + 8 + length);
    at += 8 + length;
  }
  return text.split("\n").filter((line) => line.trim() !== "");
}
