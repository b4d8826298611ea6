/** The command line: understands it, has it carried out, and sets the exit code. */
import { fileURLToPath } from "node:url";
import { CommanderError } from "commander";
import { CannotRun, Interrupted } from "./cannot-run.ts";
import { labNames } from "./labs.ts";
import { parseCommandLine } from "./options.ts";
import { stopAllOnExit } from "./stack/shutdown.ts";
import { createTerminal, type Terminal } from "./terminal.ts";

const couldNotRun = 3;
const lingerMs = 1_000;

/**
 * The whole program: parses, runs, prints, and sets the exit code. Signals and errors stop all that is
 * registered in stack/shutdown.ts first.
 * @param args without node and the script
 */
export async function main(args: readonly string[]): Promise<void> {
  const terminal = createTerminal(process.stderr);
  stopAllOnExit((line) => {
    terminal.say(`\n${line}`);
  });
  process.exitCode = await exitCodeOf(args, terminal);
  // Nothing is left to do. Without this Node closes its handles one by one, and was seen (20.20.2, once in some hundred
  // runs) to wait for one for ever, with a core to itself.
  process.once("beforeExit", () => process.exit());
  // Everything was stopped above; a connection that lingers must not keep the shell waiting.
  setTimeout(() => process.exit(), lingerMs).unref();
}

async function exitCodeOf(args: readonly string[], terminal: Terminal): Promise<number> {
  try {
    const line = await parseCommandLine(args, labNames());
    if (line === undefined) return 0;
    // Help and a wrong word are answered at once, without the harness.
    const { carryOut } = await import("./commands.ts");
    return await carryOut(line, terminal);
  } catch (error) {
    terminal.settle();
    // commander has already said what was wrong.
    if (error instanceof CommanderError) return couldNotRun;
    // The signal's handler has spoken, and ends the process when all is stopped.
    if (error instanceof Interrupted) return couldNotRun;
    if (error instanceof CannotRun) {
      terminal.say(`could not run: ${error.message}`);
      for (const remedy of error.remedies) terminal.say(`  ${remedy.replaceAll("\n", "\n    ")}`);
      return couldNotRun;
    }
    terminal.say(`could not run: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    return couldNotRun;
  }
}

// npm start, npm run lab, npm run judge: this file is the program itself.
if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2));
