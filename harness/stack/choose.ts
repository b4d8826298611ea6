/** Opens the stack a user asked for, or the one that fits the machine. */
import type { Availability } from "./containers/containers.ts";
import { missingVariables, openExternal, variables } from "./external.ts";
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
  /** Containers only: leave them running at the end, and use those that an earlier run left. */
  readonly keep?: boolean;
}

/**
 * Starts (or finds) Kafka, PostgreSQL and Redis; resolves when all three answer.
 *
 * @throws CannotRun with the reason in one line and what to do about it; nothing is left behind then
 */
export async function openStack(options: StackOptions): Promise<Stack> {
  const { env = process.env, onProgress = () => {}, benchmark = false, keep = false } = options;
  const { kind, why } = await chooseKind(options.kind, env);
  // The external stack says it itself, when it knows whose the services are.
  if (kind !== "external") onProgress(why);
  if (keep && kind !== "containers") onProgress(`note: --keep-stack does nothing for the ${kind} stack`);
  if (kind === "external") return openExternal({ env, why, onProgress });
  if (kind === "containers") {
    const { openContainers } = await containerStack();
    return openContainers({ why, onProgress, benchmark, keep });
  }
  return openNative({ env, why, onProgress, benchmark });
}

/** Loaded only for those who need it: Testcontainers alone takes more than half a second. */
const containerStack = () => import("./containers/containers.ts");

/** Which kind, and why in one line. The line names variables, never their values: those hold passwords. */
export async function chooseKind(
  asked: StackKind | "auto",
  env: NodeJS.ProcessEnv,
  available: () => Promise<Availability> = async () => (await containerStack()).containersAvailable(),
): Promise<{ readonly kind: StackKind; readonly why: string }> {
  if (asked !== "auto") return { kind: asked, why: `${asked} stack: as asked` };
  const missing = missingVariables(env);
  if (missing.length === 0) {
    return { kind: "external", why: `external stack: ${variables.join(", ")} are set` };
  }
  const some =
    missing.length < variables.length
      ? ` (of the variables for an external one ${missing.join(" and ")} not set)`
      : "";
  const containers = await available();
  return containers.usable
    ? { kind: "containers", why: `container stack: ${containers.why}${some}` }
    : { kind: "native", why: `native stack, servers as child processes: ${containers.why}${some}` };
}
