/** `npm run bench`: the engine alone, and the ingest pipeline beside a hand-written loop. Ratios within one run. */
import { Command, InvalidArgumentError, Option } from "commander";
import { stopAllOnExit } from "../harness/stack/shutdown.ts";
import { benchEngine, engineTable } from "./engine.ts";
import { benchEngineLatency } from "./engine-latency.ts";
import { benchIngest, ingestTable } from "./ingest.ts";
import { benchOnce, onceTable } from "./once.ts";

const partNames = ["engine", "drain", "live", "once"] as const;
type Part = (typeof partNames)[number];

interface Options {
  readonly only?: Part;
  readonly messages: number;
  readonly repeats: number;
  readonly json: boolean;
}

const whole = (text: string): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("a whole number above 0.");
  return value;
};

const program = new Command("bench")
  .description(
    "Benchmarks, as ratios within one run: the engine beside a bare loop, the ingest solution beside a hand-written loop, and idempotency keys beside a plain insert.",
  )
  .addOption(new Option("--only <part>", "one part alone").choices(partNames))
  .addOption(
    new Option("--messages <n>", "messages to drain, and a fifth of it to store once")
      .default(1_000_000)
      .argParser(whole),
  )
  .addOption(
    new Option("--repeats <n>", "runs of each arm, of which the median counts").default(3).argParser(whole),
  )
  .option("--json", "one JSON object on stdout, progress on stderr", false)
  .addHelpText(
    "after",
    "\nTakes about five minutes in all. Close other programs: two cores are shared by everything.",
  );

program.parse();
const options = program.opts<Options>();
stopAllOnExit();

const progress = (line: string): void => {
  process.stderr.write(`${line}\n`);
};
const wants = (part: Part): boolean => options.only === undefined || options.only === part;

progress(
  wants("engine") ? "engine: memory source -> 4 processors -> batcher of 1,000 -> no-op" : "engine: left out",
);
const engine = wants("engine")
  ? { cases: await benchEngine(), latency: await benchEngineLatency() }
  : undefined;
if (engine !== undefined && !options.json) {
  const { messagesPerSecond, p50Ms, p99Ms } = engine.latency;
  process.stdout.write(
    `${engineTable(engine.cases)}\nadded latency at ${messagesPerSecond.toFixed(0)} messages/s: p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms\n\n`,
  );
}
const parts = (["drain", "live"] as const).filter(wants);
const ingest =
  parts.length === 0
    ? undefined
    : await benchIngest({
        parts,
        messages: options.messages,
        repeats: options.repeats,
        onProgress: progress,
      });
if (ingest !== undefined && !options.json) process.stdout.write(`${ingestTable(ingest).join("\n")}\n`);
const once = wants("once")
  ? await benchOnce({
      messages: Math.ceil(options.messages / 5),
      repeats: options.repeats,
      onProgress: progress,
    })
  : undefined;
if (once !== undefined && !options.json) process.stdout.write(`${onceTable(once).join("\n")}\n`);
if (options.json) process.stdout.write(`${JSON.stringify({ engine, ingest, once })}\n`);
