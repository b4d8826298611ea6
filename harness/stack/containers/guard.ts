/** Starts the watchdog of a run and tells it when all is in order. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { messageOf } from "../readiness.ts";
import type { StackProgress } from "../stack.ts";

/** The word the watchdog waits for. */
export const inOrder = "in order";

export interface Guard {
  /** The run has removed everything, or means to leave it: the watchdog ends without touching anything. */
  release(): void;
}

/**
 * From now on the run's containers go also when this process is killed. Nothing need be awaited: the watchdog
 * is a process as soon as this returns, and reads the end of its input whenever it gets to it.
 */
export function guardRun(run: string, onProgress: StackProgress): Guard {
  const child = spawn(
    process.execPath,
    ["--import", "tsx", fileURLToPath(new URL("./watchdog.ts", import.meta.url)), run],
    // A group of its own: neither Ctrl-C in the terminal nor the kill of the harness's group reaches it.
    {
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
      cwd: fileURLToPath(new URL("../../..", import.meta.url)),
    },
  );
  child.on("error", (error) => {
    onProgress(`note: no watchdog (${messageOf(error)}); a killed run is cleaned up by the next one`);
  });
  child.stdin.on("error", () => {});
  child.unref();
  (child.stdin as unknown as { unref(): void }).unref();
  return {
    release: () => {
      child.stdin.end(inOrder);
    },
  };
}
