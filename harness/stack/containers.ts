/** The seam for the container stack, which another issue builds: what `choose.ts` asks of it. */
import { CannotRun } from "../cannot-run.ts";
import type { Stack } from "./stack.ts";

const reason = "this version of Sluice has no container stack yet";

/** Why containers cannot be used on this machine, in one line; undefined when they can. */
export async function containersUnavailable(): Promise<string | undefined> {
  return reason;
}

/** @throws CannotRun, for now always */
export async function openContainers(): Promise<Stack> {
  throw new CannotRun(reason, [
    "use --stack native (needs Java 17 or newer and Maven)",
    "or set KAFKA_BROKERS, DATABASE_URL and REDIS_URL to services that already run (--stack external)",
  ]);
}
