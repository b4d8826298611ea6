/** Images: which are on the engine, which can be had from their registry, and getting them with progress shown. */
import { ImageName } from "testcontainers";
import { CannotRun, Interrupted } from "../../cannot-run.ts";
import type { StackProgress } from "../stack.ts";
import type { Engine } from "./engine.ts";
import { diskFullOnEngine, reasonOf } from "./errors.ts";
import { images } from "./images.ts";

/** How long a registry may take to say whether it has an image. The question is asked before any run by `auto`. */
const questionTimeoutMs = 5_000;
/** A pull that brings nothing for this long will bring nothing. */
const stallTimeoutMs = 60_000;

/** Testcontainers' TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX, for mirrors, is heeded here as it is there. */
const fullName = (image: string): string => ImageName.fromString(image).string;

/** The images that are not on the engine. */
export async function missingImages(engine: Engine): Promise<readonly string[]> {
  const names = Object.values(images).map(fullName);
  const there = await Promise.all(
    names.map((name) =>
      engine.docker
        .getImage(name)
        .inspect()
        .then(
          () => true,
          (error: { readonly statusCode?: number }) => {
            if (error.statusCode === 404) return false;
            throw error;
          },
        ),
    ),
  );
  return names.filter((_, i) => !there[i]);
}

/** Why an image cannot be pulled, as its registry or the way to it says; undefined when all can. Bounded in time. */
export async function whyNotPullable(
  engine: Engine,
  names: readonly string[],
  timeoutMs = questionTimeoutMs,
): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`no registry answered within ${timeoutMs / 1000} s`), timeoutMs);
  });
  const asked = Promise.all(
    names.map((name) =>
      engine.docker
        .getImage(name)
        .distribution()
        .then(() => undefined, reasonOf),
    ),
  ).then((answers) => answers.find((answer) => answer !== undefined));
  const reason = await Promise.race([asked, tooLate]);
  clearTimeout(timer);
  return reason;
}

/**
 * Pulls what is missing.
 *
 * @param reportEveryMs a line of progress at most this often
 * @throws CannotRun with the registry's or the engine's reason; Interrupted when `signal` ended it
 */
export async function pullImages(
  engine: Engine,
  names: readonly string[],
  onProgress: StackProgress,
  signal: AbortSignal,
  reportEveryMs = 3_000,
): Promise<void> {
  // One after the other: their layers come in parallel anyway, and progress stays readable.
  for (const name of names) {
    onProgress(`pulling ${name}`);
    try {
      await pull(engine, name, spaced(onProgress, reportEveryMs), signal);
    } catch (error) {
      if (signal.aborted) throw new Interrupted();
      const full = diskFullOnEngine(error);
      if (full !== undefined) throw full;
      throw new CannotRun(`cannot pull ${name}: ${reasonOf(error)}`, [
        `try: docker pull ${name}`,
        "or use --stack native (needs Java 17 or newer and Maven)",
      ]);
    }
  }
}

interface Layer {
  readonly id?: string;
  readonly status?: string;
  readonly error?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
}

async function pull(
  engine: Engine,
  name: string,
  onProgress: StackProgress,
  signal: AbortSignal,
): Promise<void> {
  const stream = (await engine.docker.pull(name, { abortSignal: signal })) as NodeJS.ReadableStream & {
    destroy(error?: Error): void;
  };
  const sizes = new Map<string, { readonly current: number; readonly total: number }>();
  const stalled = new Error(`nothing came for ${stallTimeoutMs / 1000} s`);
  let timer = setTimeout(() => stream.destroy(stalled), stallTimeoutMs);
  const note = ({ id = "", status, progressDetail }: Layer): void => {
    clearTimeout(timer);
    timer = setTimeout(() => stream.destroy(stalled), stallTimeoutMs);
    const { current = 0, total } = progressDetail ?? {};
    if (status === "Downloading" && total !== undefined) sizes.set(id, { current, total });
    const size = sizes.get(id);
    if (status === "Download complete" && size !== undefined) sizes.set(id, { ...size, current: size.total });
    if (sizes.size > 0) onProgress(`  ${progressLine(name, [...sizes.values()])}`);
  };
  try {
    await new Promise<void>((resolve, reject) => {
      // It gives an error of the stream's own lines too, such as a full disk or an unknown tag.
      engine.docker.modem.followProgress(
        stream,
        (error: Error | null) => (error === null || error === undefined ? resolve() : reject(error)),
        note,
      );
    });
  } finally {
    clearTimeout(timer);
  }
}

/** Passes on at most a line in that time, and none before it has passed once. */
function spaced(onProgress: StackProgress, everyMs: number): StackProgress {
  let toldAt = performance.now();
  return (line) => {
    if (performance.now() - toldAt < everyMs) return;
    toldAt = performance.now();
    onProgress(line);
  };
}

/** "apache/kafka:4.1.0: 113 of 204 MB" */
export function progressLine(
  name: string,
  layers: readonly { readonly current: number; readonly total: number }[],
): string {
  const megabytes = (of: "current" | "total"): number =>
    Math.round(layers.reduce((sum, layer) => sum + layer[of], 0) / 2 ** 20);
  return `${name}: ${megabytes("current")} of ${megabytes("total")} MB`;
}
