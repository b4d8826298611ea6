/**
 * The drill with you as the operator: servers, load, poison and worker as in the quick profile, and then the page, and
 * what another terminal needs for the commands of the runbook. Ctrl-C ends it all.
 *
 *     npx tsx labs/dlq/play.ts
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Interrupted } from "../../harness/cannot-run.ts";
import { conduct } from "../../harness/experiment.ts";
import type { Lab } from "../../harness/lab.ts";
import { openStack } from "../../harness/stack/choose.ts";
import { stopAllOnExit, stopAtExit } from "../../harness/stack/shutdown.ts";
import { resolveSubject } from "../../harness/subject/resolve.ts";
import { operator } from "../../toolkit/operator/command.ts";
import lab from "./lab.ts";

const port = process.env.PORT ?? "7070";
/** Where the operator's process, which alone is told of the services, leaves word of them. */
const wordAt = process.env.SLUICE_PLAY;
const aDayMs = 24 * 3_600_000;

if (wordAt === undefined) await play();
else await serve(wordAt);

async function play(): Promise<void> {
  stopAllOnExit();
  const folder = mkdtempSync(join(tmpdir(), "sluice-play-"));
  const word = join(folder, "services");
  process.env.SLUICE_PLAY = word;
  stopAtExit({
    name: "its folder",
    stop: async () => undefined,
    stopNow: () => rmSync(folder, { recursive: true, force: true }),
  });
  const say = (line: string) => void process.stdout.write(`${line}\n`);
  const stack = await openStack({ kind: "auto", env: process.env, onProgress: say });
  const { arms: _, ...quick } = lab.profiles.quick;
  const byHand = { name: "you", args: () => [], withinMs: aDayMs };
  const operation = { tool: "", looks: {}, steps: [byHand] };
  const played: Lab = { ...lab, profiles: { ...lab.profiles, quick: { ...quick, operation } } };
  const me = [process.execPath, "--import", "tsx", fileURLToPath(import.meta.url)];
  const looking = setInterval(() => {
    if (!existsSync(word)) return;
    clearInterval(looking);
    say(`\nThe page:                        http://127.0.0.1:${port}`);
    say("For the runbook, in another terminal:\n");
    say(`${readFileSync(word, "utf8")}\n\nCtrl-C ends it all.`);
  }, 200);
  say("About ten seconds of load come first.");
  try {
    await conduct({
      lab: played,
      subject: { ...resolveSubject(lab.home, "solution", []), operator: me },
      profile: "quick",
      seed: Math.ceil(Math.random() * 1_000_000),
      stack,
      out: folder,
      draw: false,
      command: "npx tsx labs/dlq/play.ts",
      cwd: process.cwd(),
      onProgress: () => undefined,
    });
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
  } finally {
    clearInterval(looking);
    await stack.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function serve(file: string): Promise<void> {
  const { DATABASE_URL, KAFKA_BROKERS } = process.env;
  writeFileSync(file, `  export DATABASE_URL='${DATABASE_URL}' KAFKA_BROKERS='${KAFKA_BROKERS}'`);
  process.exitCode = await operator(["serve", "--port", port]);
}
