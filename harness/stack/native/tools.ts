/** Short-lived programs the native stack needs: found, run to their end, and their failures told. */
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { stripVTControlCharacters } from "node:util";
import { CannotRun } from "../../cannot-run.ts";
import { diskFull } from "./cache.ts";
import type { Run, User } from "./run.ts";

/** Path of an executable file of that name on PATH. */
export function onPath(name: string, env: NodeJS.ProcessEnv): string | undefined {
  const folders = (env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** What servers and tools see of the environment: enough to run, nothing that changes what they do. */
export const plainEnv = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv => ({
  PATH: env.PATH,
  HOME: env.HOME,
  LC_ALL: "C",
  TZ: "UTC",
});

export interface Tool {
  /** For people and for the record: "mvn", "initdb". */
  readonly label: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly user?: User | undefined;
  readonly onLine?: (line: string) => void;
}

/**
 * Runs a program to its end and gives its output, standard error included.
 *
 * @throws CannotRun with the last lines of the output, when it did not exit with code 0
 */
export async function runTool(run: Run, tool: Tool): Promise<string> {
  const { child, ended } = await run.spawn(tool.label, tool.file, tool.args, {
    cwd: tool.cwd,
    env: tool.env,
    user: tool.user,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines: string[] = [];
  const reading = [child.stdout, child.stderr].map(async (stream) => {
    if (stream === null) return;
    for await (const line of createInterface({ input: stream })) {
      lines.push(line);
      tool.onLine?.(line);
    }
  });
  const how = await ended;
  await Promise.all(reading);
  const output = lines.join("\n");
  if (how === "exit code 0") return output;
  throw diskFull(output, run.folder) ?? new CannotRun(`${tool.label} failed: ${how}`, tail(lines));
}

/** The last lines that say something, ready to be shown below an error. */
export const tail = (lines: readonly string[], count = 15): readonly string[] =>
  lines
    .map((line) => stripVTControlCharacters(line).trimEnd())
    .filter((line) => line !== "" && line !== "[ERROR]")
    .slice(-count)
    .map((line) => `  | ${line.slice(0, 300)}`);
