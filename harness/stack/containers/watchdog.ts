/**
 * The watchdog: a process of its own that outlives the harness by seconds. When its standard input ends without
 * the word that all is in order, the harness was killed, and what that run has on the engine is removed.
 *
 * It does what Testcontainers' Ryuk does, without a fourth image and without the engine's socket in a container.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { inOrder } from "./guard.ts";

/** The engine may still be creating what the harness had asked for in its last moment. */
const quietMs = 5_000;
const giveUpMs = 120_000;

async function watch(run: string): Promise<void> {
  let said = "";
  for await (const chunk of process.stdin) said += chunk;
  if (said.includes(inOrder)) return;
  // Loaded only now: for the length of a run this process should weigh nothing.
  const { findEngine } = await import("./engine.ts");
  const { ofRun, removeRun } = await import("./labels.ts");
  const startedAt = performance.now();
  let quietSince = startedAt;
  while (performance.now() - quietSince < quietMs && performance.now() - startedAt < giveUpMs) {
    try {
      const { docker } = await findEngine();
      if ((await ofRun(docker, run)).length > 0) {
        await removeRun(docker, run);
        quietSince = performance.now();
      }
    } catch {
      // An engine that is being restarted answers again, or never; the next run's start sweeps then.
      quietSince = performance.now();
    }
    await sleep(500);
  }
}

const run = process.argv[2];
if (run !== undefined) await watch(run);
process.exit();
