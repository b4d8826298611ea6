/**
 * The project's TypeScript as JavaScript beside node_modules, so that a process of a run starts in a third of the time
 * and CPU that a loader of TypeScript takes: a run starts up to a dozen, on a machine that it measures.
 *
 * The folder mirrors the project, file by file, with what its programs read beside them, and is made anew where a
 * source's time of change differs. Where it cannot be made whole (an error of syntax, a folder that cannot be written)
 * everything runs through tsx, which says why.
 */
import { type ChildProcess, type ForkOptions, fork } from "node:child_process";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

/** File systems keep times to less than this. */
const sameTimeMs = 2;
const compiledFiles = /(?<!\.test)\.ts$/;
/** What a program reads by a path from its own. */
const copiedFiles = /\.(html|css|js|sql)$/;

interface Mirror {
  /** Brings it up to date; a matter of milliseconds when nothing has changed. Never rejects. */
  update(): Promise<void>;
  /** The program whose TypeScript is `file`; undefined when it must be run through tsx. */
  compiled(file: string): string | undefined;
}

const project = fileURLToPath(new URL("..", import.meta.url));
const mirror = openMirror(project, ["harness", "labs", "toolkit"]);

export const compileChanged = (): Promise<void> => mirror.update();

/** The same command, with what is compiled where it would load one of the project's programs through tsx. */
export function compiledCommand(command: readonly string[]): readonly string[] {
  const [node = "", flag, loader, file = "", ...args] = command;
  const program =
    flag === "--import" && loader === "tsx" ? mirror.compiled(resolve(project, file)) : undefined;
  return program === undefined ? command : [node, "--enable-source-maps", program, ...args];
}

/**
 * Starts one of the harness's own programs, with a channel for messages that carries typed arrays.
 * @param file path of its TypeScript
 */
export function forkProgram(
  file: string,
  options: Omit<ForkOptions, "serialization" | "stdio">,
): ChildProcess {
  const program = mirror.compiled(file);
  return fork(program ?? file, [], {
    ...options,
    execArgv: program === undefined ? ["--import", "tsx"] : ["--enable-source-maps"],
    serialization: "advanced",
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
}

/**
 * @param home where package.json is
 * @param folders those with sources, in `home`
 */
export function openMirror(home: string, folders: readonly string[]): Mirror {
  const root = join(home, "node_modules", ".cache", "sluice");
  const made = (source: string): string => join(root, relative(home, source).replace(/\.ts$/, ".js"));
  let isWhole = false;
  return {
    async update() {
      try {
        const all = (name: RegExp) => folders.flatMap((folder) => filesIn(join(home, folder), name));
        const sources = all(compiledFiles);
        const copied = all(copiedFiles);
        const known = new Set([...sources, ...copied].map(made));
        for (const file of filesIn(root, copiedFiles)) if (!known.has(file)) rmSync(file, { force: true });
        const isChanged = (source: string) =>
          Math.abs((timeOf(made(source)) ?? 0) - (timeOf(source) ?? 0)) > sameTimeMs;
        for (const source of copied.filter(isChanged))
          replace(made(source), readFileSync(source), timeOf(source));
        const changed = sources.filter(isChanged);
        if (changed.length > 0) await compile(changed, home, root, made);
        isWhole = true;
      } catch {
        isWhole = false;
      }
    },
    compiled(file) {
      const program = made(file);
      return isWhole && file.endsWith(".ts") && timeOf(program) !== undefined ? program : undefined;
    },
  };
}

async function compile(
  sources: readonly string[],
  home: string,
  root: string,
  made: (source: string) => string,
): Promise<void> {
  // Before they are read: what changes meanwhile is older than its source then, and made anew.
  const times = new Map(sources.map((source) => [made(source), timeOf(source)]));
  const { build, stop } = await import("esbuild");
  try {
    const { outputFiles } = await build({
      entryPoints: [...sources],
      outdir: root,
      outbase: home,
      format: "esm",
      platform: "node",
      target: "node20",
      sourcemap: true,
      write: false,
      logLevel: "silent",
      // Nothing is bundled: each file stays one, and finds its neighbours under their new names.
      bundle: true,
      packages: "external",
      plugins: [
        {
          name: "neighbours",
          setup: ({ onResolve }) =>
            onResolve({ filter: /^\.\.?\// }, ({ path, kind }) =>
              kind === "entry-point" ? undefined : { path: path.replace(/\.ts$/, ".js"), external: true },
            ),
        },
      ],
    });
    for (const { path, contents } of outputFiles) replace(path, contents, times.get(path));
  } finally {
    await stop();
  }
}

function replace(path: string, contents: Uint8Array, timeMs: number | undefined): void {
  mkdirSync(dirname(path), { recursive: true });
  // Another harness may be doing the same.
  const part = `${path}.${process.pid}`;
  writeFileSync(part, contents);
  if (timeMs !== undefined) utimesSync(part, timeMs / 1_000, timeMs / 1_000);
  renameSync(part, path);
}

const timeOf = (file: string): number | undefined => statSync(file, { throwIfNoEntry: false })?.mtimeMs;

function filesIn(folder: string, name: RegExp): string[] {
  if (timeOf(folder) === undefined) return [];
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => name.test(file) && !file.split(sep).includes("node_modules"))
    .map((file) => join(folder, file));
}
