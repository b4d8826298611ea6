/** The servers themselves, brought by the user's own Maven and kept in the cache. */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { chmod, mkdir, readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import xz from "xz-decompress";
import { CannotRun } from "../../cannot-run.ts";
import type { StackProgress } from "../stack.ts";
import { requireSpace } from "./cache.ts";
import { noNativeStack } from "./java.ts";
import { type Platform, thisPlatform } from "./platform.ts";
import type { Run } from "./run.ts";
import { storedFolder } from "./store.ts";
import { onPath, plainEnv, runTool } from "./tools.ts";
import * as versions from "./versions.ts";

export interface Software {
  /** Changes with the versions, the platform, and each time it is fetched: a JVM's archive knows its jars' times. */
  readonly key: string;
  readonly kafkaJars: readonly string[];
  /** Folder with bin/postgres and bin/initdb. */
  readonly postgresHome: string;
  readonly redisServer: string;
}

/**
 * Finds the servers in the cache, or fetches them.
 *
 * @throws CannotRun when Maven is missing or fails, or the disk is full
 */
export async function findSoftware(
  cache: string,
  run: Run,
  env: NodeJS.ProcessEnv,
  onProgress: StackProgress,
): Promise<Software> {
  const platform = thisPlatform();
  const ownRedis = await redisOnPath(run, env);
  if (ownRedis === undefined && platform.redisExecutable === undefined) {
    throw noNativeStack(
      "no Redis 6.2 or newer: this platform has none to fetch, and there is no redis-server on PATH",
    );
  }
  const pom = pomFor(platform);
  const key = createHash("sha256").update(pom).digest("hex").slice(0, 12);
  const make = (folder: string) => fetch(cache, run, folder, { pom, platform, env, onProgress });
  const folder = await storedFolder(cache, run, { kind: "software", key }, make, onProgress);
  const jars = await readdir(join(folder, "kafka"));
  return {
    key: `${key} ${(await stat(folder)).mtimeMs}`,
    kafkaJars: jars.sort().map((jar) => join(folder, "kafka", jar)),
    postgresHome: join(folder, "postgres"),
    redisServer: ownRedis ?? join(folder, "unpacked", platform.redisExecutable ?? ""),
  };
}

async function redisOnPath(run: Run, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const file = onPath("redis-server", env);
  if (file === undefined) return undefined;
  const asked = { label: "redis-server", file, args: ["--version"], cwd: run.folder, env: plainEnv(env) };
  const output = await runTool(run, asked).catch(() => "");
  const [, major, minor] = /v=(\d+)\.(\d+)/.exec(output) ?? [];
  const [oldestMajor, oldestMinor] = versions.oldestRedis;
  const newEnough = Number(major) * 100 + Number(minor) >= oldestMajor * 100 + oldestMinor;
  return newEnough ? file : undefined;
}

interface Fetching {
  readonly pom: string;
  readonly platform: Platform;
  readonly env: NodeJS.ProcessEnv;
  readonly onProgress: StackProgress;
}

async function fetch(cache: string, run: Run, folder: string, fetching: Fetching): Promise<void> {
  const { env, onProgress } = fetching;
  const maven = onPath("mvn", env);
  if (maven === undefined)
    throw noNativeStack("Maven was not found (no mvn on PATH), and the servers are not in the cache");
  await requireSpace(cache, 500, "fetching the servers");
  onProgress(
    `fetching Kafka ${versions.kafkaVersion}, PostgreSQL ${versions.postgresVersion} and Redis (70 MB, once)`,
  );

  const pom = join(run.folder, "pom.xml");
  await writeFile(pom, fetching.pom);
  const args = ["--batch-mode", "--file", pom, `-Dsluice.to=${folder}`, "generate-resources"];
  // The user's whole environment: settings, proxies and JAVA_HOME are theirs.
  const download = { label: "mvn", file: maven, args, cwd: run.folder, env, onLine: reportJars(onProgress) };
  await runTool(run, download).catch((error: unknown) => {
    if (!(error instanceof CannotRun) || !error.message.startsWith("mvn failed")) throw error;
    throw new CannotRun("Maven could not fetch the servers", [
      ...error.remedies,
      "check the network and Maven's own settings (settings.xml, proxies), and run again",
      ...noNativeStack("").remedies.slice(1),
    ]);
  });

  onProgress("unpacking PostgreSQL");
  const unpacked = join(folder, "unpacked");
  const archive = (await readdir(unpacked)).find((name) => name.endsWith(".txz"));
  if (archive === undefined) throw new CannotRun("the PostgreSQL artifact holds no archive");
  const tar = join(run.folder, "postgres.tar");
  // Not by tar itself: it needs an xz program for that, which small systems lack.
  const compressed = Readable.toWeb(createReadStream(join(unpacked, archive))) as ReadableStream<Uint8Array>;
  const plain = new xz.XzReadableStream(compressed) as import("node:stream/web").ReadableStream;
  await pipeline(Readable.fromWeb(plain), createWriteStream(tar));
  const home = join(folder, "postgres");
  await mkdir(home, { mode: 0o755 });
  const unpack = ["-x", "-f", tar, "-C", home];
  await runTool(run, { label: "tar", file: "tar", args: unpack, cwd: run.folder, env: plainEnv(env) });
  await Promise.all([rm(tar), rm(join(unpacked, archive))]);
  for (const name of await readdir(unpacked)) {
    const path = join(unpacked, name);
    if (name === fetching.platform.redisExecutable) await chmod(path, 0o755);
    else await rm(path, { recursive: true });
  }
}

/** Tells the large files as they arrive, by name alone. */
function reportJars(onProgress: StackProgress): (line: string) => void {
  return (line) => {
    const [, name, size] =
      /^\[INFO\] Downloaded from [^ ]+ .*\/([^/ ]+\.jar) \((\d+(?:\.\d+)? MB)/.exec(line) ?? [];
    if (name !== undefined && Number.parseFloat(size ?? "0") >= 5) onProgress(`fetched ${name} (${size})`);
  };
}

/** One project without sources: Maven copies Kafka's jars and unpacks the two others into `sluice.to`. */
function pomFor(platform: Platform): string {
  const dependency = (group: string, artifact: string, version: string, alone = false): string => `
    <dependency>
      <groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version>${
        alone
          ? "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>"
          : ""
      }
    </dependency>`;
  const execution = (goal: string, filter: string, to: string): string => `
          <execution>
            <id>${goal}</id><phase>generate-resources</phase><goals><goal>${goal}</goal></goals>
            <configuration>${filter}<outputDirectory>\${sluice.to}/${to}</outputDirectory></configuration>
          </execution>`;
  const archives = "io.zonky.test.postgres,com.github.codemonstur";
  return `<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>sluice</groupId><artifactId>native-stack</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>${dependency("org.apache.kafka", "kafka_2.13", versions.kafkaVersion)}${dependency(
    "org.apache.logging.log4j",
    "log4j-slf4j-impl",
    versions.log4jVersion,
  )}${dependency(
    "io.zonky.test.postgres",
    `embedded-postgres-binaries-${platform.postgresArtifact}`,
    `${versions.postgresVersion}.0`,
    true,
  )}${dependency("com.github.codemonstur", "embedded-redis", versions.embeddedRedisVersion, true)}
  </dependencies>
  <build>
    <plugins>
      <plugin>
        <groupId>org.apache.maven.plugins</groupId><artifactId>maven-dependency-plugin</artifactId>
        <version>${versions.dependencyPluginVersion}</version>
        <executions>${execution("copy-dependencies", `<excludeGroupIds>${archives}</excludeGroupIds>`, "kafka")}${execution(
          "unpack-dependencies",
          `<includeGroupIds>${archives}</includeGroupIds>`,
          "unpacked",
        )}
        </executions>
      </plugin>
    </plugins>
  </build>
</project>
`;
}
