/** For tests of the container stack: whether it can be had at once, without a pull. */
import { messageOf } from "../readiness.ts";
import { findEngine } from "./engine.ts";
import { missingImages } from "./pull.ts";

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
