/** For tests of containers: whether they can be had at once, without a pull, and what can be seen of them. */
import { messageOf } from "../readiness.ts";
import { findEngine } from "./engine.ts";
import { missingImages } from "./pull.ts";

/** Docker Desktop's servers are processes of its own machine, a rootless engine's of its own namespace. */
export async function seesProcesses(): Promise<boolean> {
  const { docker, host } = await findEngine();
  const { SecurityOptions } = (await docker.info()) as { readonly SecurityOptions?: readonly string[] };
  const rootless = SecurityOptions?.some((option) => option.includes("rootless")) ?? false;
  return process.platform === "linux" && host === "127.0.0.1" && !rootless;
}

/** Undefined where an engine answers and has the images; else why the tests are skipped, also said on standard error. */
export async function whyNotHere(): Promise<string | undefined> {
  const reason = await findEngine()
    .then(missingImages)
    .then(
      (missing) => (missing.length === 0 ? undefined : `${missing.join(", ")} not on the engine`),
      messageOf,
    );
  if (reason !== undefined) process.stderr.write(`  container stack not tested: ${reason}\n`);
  return reason;
}
