/** The command line's options, converted once at the edge. */
import { Command, InvalidArgumentError, Option } from "commander";
import type { Profile } from "./lab.ts";
import type { StackKind } from "./stack/stack.ts";

export interface LabOptions {
  readonly subject: string;
  /** A worker of the user's own: what stood after `--`. */
  readonly command: readonly string[];
  readonly stack: StackKind | "auto";
  readonly keepStack: boolean;
  readonly profile: Profile;
  readonly seed: number;
  /** Another number of kills than the profile has; undefined for the profile's own. */
  readonly kills?: number;
  readonly out: string;
  readonly json: boolean;
  readonly watch: boolean;
}

export type CommandLine =
  | { readonly do: "lab"; readonly lab: string; readonly options: LabOptions }
  | { readonly do: "start"; readonly labs: readonly string[]; readonly options: LabOptions }
  | { readonly do: "judge"; readonly folder: string; readonly json: boolean };

/** Seeds are positive and fit in 31 bits, so that every language's integers hold them. */
const maxSeed = 2 ** 31 - 1;
const maxKills = 10_000;

/**
 * @param args without node and the script
 * @param name what users typed to get here, for the usage line
 * @returns undefined when help was asked for and printed
 * @throws CommanderError for bad usage, after printing what was wrong
 */
export async function parseCommandLine(
  args: readonly string[],
  labs: readonly string[],
): Promise<CommandLine | undefined> {
  let parsed: CommandLine | undefined;
  // What follows "--" is the worker's: its options are none of ours.
  const split = args.indexOf("--");
  const own = split === -1 ? [...args] : args.slice(0, split);
  const command = split === -1 ? [] : args.slice(split + 1);

  const program = new Command("sluice")
    .description(
      "Labs for streaming ingestion and durable jobs, judged from outside on real Kafka, Postgres and Redis.",
    )
    .exitOverride()
    .helpCommand(false)
    .configureHelp({ sortSubcommands: false })
    .addHelpText(
      "after",
      `\nLabs: ${labs.join(", ")}\nExit codes: 0 pass, 1 fail, 2 unknown, 3 could not run.`,
    );

  withLabOptions(program.command("lab").argument("<name>", `one of: ${labs.join(", ")}`))
    .description("run one lab")
    .addHelpText(
      "after",
      "\n-- <command...>   a worker of your own instead of --subject\n\nExit codes: 0 pass, 1 fail, 2 unknown, 3 could not run.",
    )
    .action((lab: string, options: RawOptions) => {
      parsed = { do: "lab", lab, options: labOptions(options, command) };
    });
  withLabOptions(program.command("start").argument("[names...]", "labs; all when none is named"))
    .description("run labs one after the other and show the table of verdicts")
    .action((names: string[], options: RawOptions) => {
      parsed = { do: "start", labs: names, options: labOptions(options, command) };
    });
  program
    .command("judge")
    .argument("<folder>", "the folder of a run, such as reports/ingest/<run>")
    .option("--json", "one JSON object on stdout", false)
    .description("judge a saved run again: same record, same verdict")
    .action((folder: string, options: { json: boolean }) => {
      parsed = { do: "judge", folder, json: options.json };
    });
  try {
    await program.parseAsync(own, { from: "user" });
  } catch (error) {
    if (isHelp(error)) return undefined;
    throw error;
  }
  return parsed;
}

interface RawOptions {
  readonly subject: string;
  readonly stack: StackKind | "auto";
  readonly keepStack: boolean;
  readonly profile: Profile;
  readonly seed?: number;
  readonly kills?: number;
  readonly out: string;
  readonly json: boolean;
  readonly watch: boolean;
}

function withLabOptions(command: Command): Command {
  return command
    .option("--subject <name>", "solution, exercise, or the name of a pitfall", "solution")
    .addOption(
      new Option("--stack <kind>", "where the services come from")
        .choices(["auto", "containers", "native", "external"])
        .default("auto"),
    )
    .option(
      "--keep-stack",
      "containers only: leave them running, and use those left by the run before",
      false,
    )
    .addOption(
      new Option("--profile <name>", "about 10 s or about 40 s of load")
        .choices(["quick", "full"])
        .default("full"),
    )
    .addOption(
      new Option(
        "--seed <n>",
        "same seed, same events, failures and kill points (default: random)",
      ).argParser(seed),
    )
    .addOption(
      new Option(
        "--kills <n>",
        "a soak: so many kills of a worker, with half as much load again for each as in the profile",
      ).argParser(kills),
    )
    .option("--out <dir>", "reports folder", "reports")
    .option("--json", "one JSON object on stdout, progress on stderr", false)
    .option("--watch", "run again when the worker's files change", false);
}

function labOptions(raw: RawOptions, command: readonly string[]): LabOptions {
  return { ...raw, command, seed: raw.seed ?? 1 + Math.floor(Math.random() * (maxSeed - 1)) };
}

function seed(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > maxSeed) {
    throw new InvalidArgumentError(`a seed is an integer from 0 to ${maxSeed}.`);
  }
  return value;
}

function kills(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > maxKills) {
    throw new InvalidArgumentError(`kills are a whole number from 1 to ${maxKills}.`);
  }
  return value;
}

function isHelp(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "commander.helpDisplayed" || code === "commander.version";
}
