/** From a subject's name to the command that runs it. */
import { existsSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { CannotRun } from "../cannot-run.ts";

export interface Subject {
  readonly name: string;
  readonly command: readonly string[];
  /** Its operator's command, for subjects that bring one: `<name>.operator.ts` beside the worker. */
  readonly operator?: readonly string[];
  /** Files and folders whose change makes `--watch` run again: of a command of the user's own, the parts that exist. */
  readonly files: readonly string[];
}

const pitfallFiles = /^[^.]+\.(ts|py|mjs)$/;

/** Names a lab knows: solution, exercise, and each file under pitfalls/. */
function subjectNames(labHome: string): string[] {
  const folder = join(folderOf(labHome), "pitfalls");
  const pitfalls = existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => pitfallFiles.test(name))
        .map((name) => basename(name, ".ts"))
        .sort()
    : [];
  return ["solution", "exercise", ...pitfalls];
}

/**
 * @param labHome `import.meta.url` of the lab's lab.ts
 * @param name one of `subjectNames`
 * @param command a worker of the user's own, which goes first
 * @throws CannotRun for a name the lab does not have
 */
export function resolveSubject(labHome: string, name: string, command: readonly string[]): Subject {
  if (command.length > 0)
    return { name: "command", command, files: command.filter((part) => existsSync(part)) };
  const names = subjectNames(labHome);
  const folder = folderOf(labHome);
  // A worker that only runs beside another is no name for people to choose.
  const ofArm = join(folder, "arms", `${name}.ts`);
  const isArm = existsSync(ofArm);
  if (!names.includes(name) && !isArm) {
    throw new CannotRun(`there is no subject "${name}"`, [
      `choose one of: ${names.join(", ")}`,
      "or name a command of your own after --",
    ]);
  }
  const file = isArm
    ? ofArm
    : name === "solution" || name === "exercise"
      ? join(folder, `${name}.ts`)
      : join(folder, "pitfalls", `${name}.ts`);
  const program = [process.execPath, "--import", "tsx"];
  const operator = file.replace(/\.ts$/, ".operator.ts");
  return {
    name,
    command: [...program, file],
    ...(existsSync(operator) ? { operator: [...program, operator] } : {}),
    files: [folder],
  };
}

/** @throws CannotRun when nothing of it can change: `--watch` would wait for ever */
export function assertWatchable({ files, command }: Subject): void {
  if (files.length > 0) return;
  throw new CannotRun(`--watch has nothing to watch: no file is named in "${command.join(" ")}"`, [
    "name the worker's file or folder after --, as in: -- python3 worker.py",
    "or run without --watch",
  ]);
}

function folderOf(labHome: string): string {
  return fileURLToPath(new URL(".", labHome));
}
