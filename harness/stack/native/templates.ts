/**
 * What makes a second start fast: a formatted Kafka log folder, an initialised PostgreSQL, and Kafka's
 * class-data archive, each made once and copied (or mapped) by every run.
 */
import { createHash, randomBytes } from "node:crypto";
import { openSync } from "node:fs";
import { chown, cp, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CannotRun } from "../../cannot-run.ts";
import { kafkaAnswers } from "../probes.ts";
import { until } from "../readiness.ts";
import type { StackProgress } from "../stack.ts";
import { requireSpace } from "./cache.ts";
import { signal } from "./ending.ts";
import { checkJava, type Java } from "./java.ts";
import { type Jvm, javaArguments, type KafkaPorts, log4jProperties, serverProperties } from "./kafka.ts";
import { initdbArguments, serverUser } from "./postgres.ts";
import type { Run } from "./run.ts";
import { tailOfFile } from "./server.ts";
import type { Software } from "./software.ts";
import { storedFolder } from "./store.ts";
import { plainEnv, runTool } from "./tools.ts";

export interface Templates {
  /** Formatted log folder. */
  readonly kafka: string;
  /** Undefined where the JVM could not write one. */
  readonly classArchive: string | undefined;
  readonly postgres: string;
  readonly postgresPassword: string;
}

interface Making {
  readonly run: Run;
  readonly software: Software;
  readonly java: Java;
  readonly env: NodeJS.ProcessEnv;
}

export async function findTemplates(
  cache: string,
  making: Making,
  onProgress: StackProgress,
): Promise<Templates> {
  const { run, software, java } = making;
  const make = async (folder: string): Promise<void> => {
    await checkJava(run, java, making.env);
    await requireSpace(cache, 300, "preparing the servers");
    onProgress("preparing Kafka and PostgreSQL (once)");
    await Promise.all([makeKafka(folder, making), makePostgres(folder, making)]);
  };
  // What goes into a template: the servers, the settings of this file's making, the JVM, and whose data they are.
  const recipe = ["1", software.key, java.identity, log4jProperties, process.getuid?.(), cache].join("\n");
  const key = createHash("sha256").update(recipe).digest("hex").slice(0, 12);
  const folder = await storedFolder(cache, run, { kind: "templates", key }, make, onProgress);
  const archive = join(folder, archiveName);
  const hasArchive = await stat(archive).then(
    () => true,
    () => false,
  );
  return {
    kafka: join(folder, "kafka"),
    classArchive: hasArchive ? archive : undefined,
    postgres: join(folder, "postgres"),
    postgresPassword: await readFile(join(folder, "postgres.password"), "utf8"),
  };
}

const archiveName = "kafka.jsa";

/** Formats, then runs a broker once: at its orderly end the JVM writes down the classes it had loaded. */
async function makeKafka(folder: string, { run, software, java, env }: Making): Promise<void> {
  const work = join(run.folder, "kafka-template");
  const data = join(folder, "kafka");
  const trial = join(work, "data");
  await mkdir(work);
  const ports: KafkaPorts = {
    controller: await run.claimPort(),
    direct: await run.claimPort(),
    worker: await run.claimPort(),
    proxy: await run.claimPort(),
  };
  const jvm: Jvm = { java: java.file, jars: software.kafkaJars, quick: true };
  await writeFile(join(work, "log4j2.properties"), log4jProperties);
  // A cluster id is 16 bytes as URL-safe base64; any will do, and it stays with the template.
  const id = randomBytes(16).toString("base64url").replace(/^-/, "A");
  const settings = (name: string) => join(work, `${name}.properties`);
  await writeFile(settings("format"), serverProperties(ports, data));
  const formatting = javaArguments(jvm, work, [
    "kafka.tools.StorageTool",
    "format",
    "-t",
    id,
    "-c",
    settings("format"),
  ]);
  await runTool(run, {
    label: "kafka-format",
    file: java.file,
    args: formatting,
    cwd: work,
    env: plainEnv(env),
  });

  await cp(data, trial, { recursive: true });
  await writeFile(settings("trial"), serverProperties(ports, trial));
  const archive = { file: join(folder, archiveName), use: "write" } as const;
  const args = javaArguments({ ...jvm, archive }, work, ["kafka.Kafka", settings("trial")]);
  const logFile = join(run.folder, "logs", "kafka-template.log");
  const log = openSync(logFile, "a");
  const started = await run.spawn("kafka", java.file, args, {
    cwd: work,
    env: plainEnv(env),
    stdio: ["ignore", log, log],
  });
  let end: string | undefined;
  void started.ended.then((how) => {
    end = how;
  });
  const hopeless = (): string | undefined => (end === undefined ? undefined : `it ended by itself: ${end}`);
  const patience = { timeoutMs: 60_000, hopeless, logTail: () => tailOfFile(logFile) };
  await until(kafkaAnswers(`127.0.0.1:${ports.direct}`), patience);
  signal(started.identity.pid, "SIGTERM");
  await until(
    {
      what: "Kafka to write its class-data archive and end",
      probe: async () => {
        if (end === undefined) throw new Error("still running");
      },
    },
    { timeoutMs: 60_000, logTail: () => tailOfFile(logFile) },
  );
  await rm(work, { recursive: true, force: true });
}

async function makePostgres(folder: string, { run, software, env }: Making): Promise<void> {
  const password = randomBytes(18).toString("base64url");
  const data = join(folder, "postgres");
  const user = serverUser();
  const passwordFile = join(run.folder, "postgres.password");
  await mkdir(data, { mode: 0o700 });
  await writeFile(join(folder, "postgres.password"), password, { mode: 0o600 });
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (user !== undefined) {
    await chown(data, user.uid, user.gid);
    await chown(passwordFile, user.uid, user.gid);
  }
  const args = initdbArguments(data, passwordFile);
  const file = join(software.postgresHome, "bin", "initdb");
  await runTool(run, { label: "initdb", file, args, cwd: "/", env: plainEnv(env), user }).catch(
    (error: unknown) => {
      throw error instanceof CannotRun
        ? new CannotRun("PostgreSQL could not initialise its data folder", error.remedies)
        : error;
    },
  );
  await rm(passwordFile);
}
