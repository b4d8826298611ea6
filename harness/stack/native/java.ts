/** Java for Kafka, found and checked. */
import { realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import { CannotRun } from "../../cannot-run.ts";
import { otherWays } from "./platform.ts";
import type { Run } from "./run.ts";
import { isExecutable, onPath, plainEnv, runTool } from "./tools.ts";
import { oldestJava } from "./versions.ts";

export interface Java {
  readonly file: string;
  /** Changes whenever another Java is found there: what was made with one JVM may not fit another. */
  readonly identity: string;
}

/**
 * The `java` of JAVA_HOME, else of PATH. Its version is not asked here: that costs a tenth of a second.
 *
 * @throws CannotRun naming all ways out
 */
export function findJava(env: NodeJS.ProcessEnv): Java {
  const home = env.JAVA_HOME;
  const ofHome = home === undefined || home === "" ? undefined : join(home, "bin", "java");
  const file = ofHome !== undefined && isExecutable(ofHome) ? ofHome : onPath("java", env);
  if (file === undefined) throw noNativeStack("Java was not found (looked at JAVA_HOME and PATH)");
  const real = realpathSync(file);
  const { size, mtimeMs } = statSync(real);
  return { file: real, identity: `${real} ${size} ${mtimeMs}` };
}

/** @throws CannotRun when it is older than Kafka needs, or does not run at all */
export async function checkJava(run: Run, java: Java, env: NodeJS.ProcessEnv): Promise<void> {
  const asked = { label: "java", file: java.file, args: ["-version"], cwd: run.folder, env: plainEnv(env) };
  const output = await runTool(run, asked).catch((error: unknown) => {
    // macOS has a `java` that only says there is no Java.
    const lines = error instanceof CannotRun ? error.remedies.join(" ") : String(error);
    throw noNativeStack(`Java at ${java.file} does not run (${lines.trim()})`);
  });
  const version = javaVersion(output);
  if (version !== undefined && version >= oldestJava) return;
  throw noNativeStack(`Java at ${java.file} is version ${version ?? "unknown"}, older than ${oldestJava}`);
}

/** The feature version in what `java -version` prints: 17 for "17.0.15", 8 for "1.8.0_402". */
export function javaVersion(output: string): number | undefined {
  const [, first, second] = /version "(\d+)(?:\.(\d+))?/.exec(output) ?? [];
  if (first === undefined) return undefined;
  return first === "1" && second !== undefined ? Number(second) : Number(first);
}

/** The one error for a machine on which the native stack cannot be: what is missing, and every way out. */
export function noNativeStack(reason: string): CannotRun {
  const install =
    process.platform === "darwin"
      ? "brew install openjdk@17 maven"
      : "for example apt install openjdk-17-jre-headless maven, or your system's packages of that kind";
  return new CannotRun(reason, [`install Java ${oldestJava} or newer and Maven (${install})`, ...otherWays]);
}
