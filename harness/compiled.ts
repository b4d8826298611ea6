/**
 * The project's TypeScript as JavaScript beside node_modules, so that a process of a run starts in a fifth of the time
 * and CPU that a loader of TypeScript takes: a run starts up to a dozen, on a machine that it measures. The packages
 * that workers use are there in one file each: to find and load the hundreds that they come in takes longer than the
 * project's own.
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

/** What workers and the operator's tool import. */
const bundledPackages = ["bullmq", "commander", "ioredis", "kafkajs", "pg", "zod"];

const project = fileURLToPath(new URL("..", import.meta.url));
const mirror = openMirror(project, ["harness", "labs", "toolkit"], bundledPackages);

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
 * @param packages those to be one file each
 */
export function openMirror(
  home: string,
  folders: readonly string[],
  packages: readonly string[] = [],
): Mirror {
  const root = join(home, "node_modules", ".cache", "sluice");
  const bundles = openBundles(home, root, packages);
  const made = (source: string): string => join(root, relative(home, source).replace(/\.ts$/, ".js"));
  let isWhole = false;
  return {
    async update() {
      try {
        const all = (name: RegExp) => folders.flatMap((folder) => filesIn(join(home, folder), name));
        const sources = all(compiledFiles);
        const copied = all(copiedFiles);
        const known = new Set([...sources, ...copied].map(made));
        for (const file of folders.flatMap((folder) => filesIn(join(root, folder), copiedFiles)))
          if (!known.has(file)) rmSync(file, { force: true });
        const isChanged = (source: string) =>
          Math.abs((timeOf(made(source)) ?? 0) - (timeOf(source) ?? 0)) > sameTimeMs;
        for (const source of copied.filter(isChanged))
          replace(made(source), readFileSync(source), timeOf(source));
        const changed = (await bundles.update()) ? sources : sources.filter(isChanged);
        if (changed.length > 0) await compile(changed, { home, root, made, bundleOf: bundles.of });
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

interface Making {
  readonly home: string;
  readonly root: string;
  readonly made: (source: string) => string;
  /** The file of a package that is one; undefined for all others. */
  readonly bundleOf: (name: string) => string | undefined;
}

async function compile(sources: readonly string[], { home, root, made, bundleOf }: Making): Promise<void> {
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
          setup({ onResolve }) {
            onResolve({ filter: /^\.\.?\// }, ({ path, kind }) =>
              kind === "entry-point" ? undefined : { path: path.replace(/\.ts$/, ".js"), external: true },
            );
            onResolve({ filter: /^[^./]/ }, ({ path, importer }) => {
              const bundle = bundleOf(path);
              if (bundle === undefined) return undefined;
              const relativePath = relative(dirname(made(importer)), bundle)
                .split(sep)
                .join("/");
              return { path: relativePath, external: true };
            });
          },
        },
      ],
    });
    for (const { path, contents } of outputFiles) replace(path, contents, times.get(path));
  } finally {
    await stop();
  }
}

/** The packages in one file each, made anew when something was installed since. */
function openBundles(home: string, root: string, packages: readonly string[]) {
  const folder = join(root, "packages");
  const fileOf = (name: string): string => join(folder, `${name}.js`);
  const stamp = join(folder, "installed");
  const installed = (): string => String(timeOf(join(home, "node_modules", ".package-lock.json")) ?? 0);
  return {
    of: (name: string): string | undefined => (packages.includes(name) ? fileOf(name) : undefined),
    /** True when they were made anew. */
    async update(): Promise<boolean> {
      const now = installed();
      if (packages.length === 0 || (timeOf(stamp) !== undefined && readFileSync(stamp, "utf8") === now))
        return false;
      await bundle(packages, home, folder);
      replace(stamp, now);
      return true;
    },
  };
}

async function bundle(packages: readonly string[], home: string, folder: string): Promise<void> {
  const { build, stop } = await import("esbuild");
  // What a CommonJS module exports is not written in it.
  const reexport = async (name: string): Promise<string> => {
    const names = Object.keys(await import(name)).filter((one) => one !== "module.exports");
    return `export { ${names.join(", ")} } from ${JSON.stringify(name)};`;
  };
  try {
    const { outputFiles } = await build({
      entryPoints: Object.fromEntries(packages.map((name) => [name, `reexported:${name}`])),
      outdir: folder,
      format: "esm",
      platform: "node",
      target: "node20",
      bundle: true,
      // They share what they have in common: bullmq's ioredis is ioredis.
      splitting: true,
      minifyWhitespace: true,
      write: false,
      logLevel: "silent",
      banner: {
        js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
      },
      plugins: [
        {
          name: "reexported",
          setup({ onResolve, onLoad }) {
            onResolve({ filter: /^reexported:/ }, ({ path }) => ({
              path: path.slice("reexported:".length),
              namespace: "reexported",
            }));
            onLoad({ filter: /.*/, namespace: "reexported" }, async ({ path }) => ({
              contents: await reexport(path),
              resolveDir: home,
            }));
          },
        },
      ],
    });
    for (const { path, contents } of outputFiles) replace(path, contents);
    const made = new Set(outputFiles.map(({ path }) => path));
    for (const file of filesIn(folder, /\.js$/)) if (!made.has(file)) rmSync(file, { force: true });
  } finally {
    await stop();
  }
}

function replace(path: string, contents: Uint8Array | string, timeMs?: number): void {
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
