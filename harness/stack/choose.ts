/** Opens the stack a user asked for, or the one that fits the machine. */
import { CannotRun } from "../cannot-run.ts";
import { openNative } from "./native/native.ts";
import type { Stack, StackKind, StackProgress } from "./stack.ts";

export interface StackOptions {
  /** `auto`: external when its three variables are set; else containers where they can be had; else native. */
  readonly kind: StackKind | "auto";
  /** `process.env` when absent. */
  readonly env?: NodeJS.ProcessEnv;
  readonly onProgress?: StackProgress;
  /** Servers tuned for minutes of load rather than for a quick start. */
  readonly benchmark?: boolean;
}

/**
 * Starts (or finds) Kafka, PostgreSQL and Redis; resolves when all three answer.
 *
 * @throws CannotRun with the reason in one line and what to do about it; nothing is left behind then
 */
export async function openStack(options: StackOptions): Promise<Stack> {
  const { env = process.env, onProgress = () => {}, benchmark = false } = options;
  const why = "native: chosen";
  if (options.kind === "containers") throw new CannotRun("no containers");
  return openNative({ env, onProgress, why, benchmark });
}
