/**
 * What must not outlive the harness, and its orderly end at signals and errors.
 *
 * Whatever owns processes or folders registers here; the command line installs the handlers once.
 */
import { messageOf } from "./readiness.ts";

export interface Stoppable {
  /** For the message when stopping it fails. */
  readonly name: string;
  /** Ends it and removes what it made; safe to call twice. */
  stop(): Promise<void>;
  /** The same, at once and synchronously: nothing can be awaited when a process exits. */
  stopNow(): void;
}

const registered: Stoppable[] = [];
let exitHandled = false;

/**
 * Registers something to be stopped when the harness ends, however it ends short of SIGKILL; the last registered is
 * stopped first. Gives the function that takes it off the list again.
 */
export function stopAtExit(thing: Stoppable): () => void {
  // An exit from anywhere else in the program must not leave servers behind either.
  if (!exitHandled) process.on("exit", stopAllNow);
  exitHandled = true;
  registered.push(thing);
  return () => {
    const at = registered.indexOf(thing);
    if (at !== -1) registered.splice(at, 1);
  };
}

function stopAllNow(): void {
  for (const thing of registered.splice(0).reverse()) {
    try {
      thing.stopNow();
    } catch (error) {
      process.stderr.write(`${thing.name} was not stopped: ${messageOf(error)}\n`);
    }
  }
}

async function stopAll(): Promise<void> {
  for (const thing of [...registered].reverse()) {
    try {
      await thing.stop();
    } catch (error) {
      process.stderr.write(`${thing.name} was not stopped: ${messageOf(error)}\n`);
    }
  }
}

const signalNumbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
/** One Ctrl-C may come twice: from the terminal, and passed on by npm or another program in between. */
const oneKeyMs = 300;
/** Could not run: the exit code that says nothing about the worker. */
const brokenExitCode = 3;

/**
 * Installs the handlers: SIGINT, SIGTERM, SIGHUP, an uncaught exception or rejection stop everything registered,
 * then the process exits with 128 + the signal's number, or 3 after an error. A second signal ends all at once.
 *
 * @param say told one line when a signal has come; to standard error when absent
 */
export function stopAllOnExit(say = (line: string): void => void process.stderr.write(`${line}\n`)): void {
  let ending = false;
  let signalledAt = Number.NEGATIVE_INFINITY;
  const endWith = (code: number): void => {
    // The exit handler stops now what has not been stopped yet.
    if (ending) process.exit(code);
    ending = true;
    void stopAll().finally(() => process.exit(code));
  };
  for (const [name, number] of Object.entries(signalNumbers)) {
    process.on(name, () => {
      const sincePreviousMs = performance.now() - signalledAt;
      signalledAt = performance.now();
      if (sincePreviousMs < oneKeyMs) return;
      if (!ending) say(`${name}: stopping (once more to stop at once)`);
      endWith(128 + number);
    });
  }
  const broken = (error: unknown): void => {
    // What fails while everything is being stopped fails because of that.
    if (ending) return;
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    endWith(brokenExitCode);
  };
  process.on("uncaughtException", broken);
  process.on("unhandledRejection", broken);
}
