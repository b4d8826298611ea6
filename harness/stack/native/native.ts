/**
 * The native stack: Kafka, PostgreSQL and Redis as child processes of the harness, from Maven artifacts.
 */
import { randomBytes } from "node:crypto";
import { chown, cp, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CannotRun, Interrupted } from "../../cannot-run.ts";
import { onFreePorts } from "../free-ports.ts";
import type { OpenLink } from "../link.ts";
import { kafkaAnswers, postgresAnswers, redisAnswers } from "../probes.ts";
import { NotMet } from "../readiness.ts";
import { stopAtExit } from "../shutdown.ts";
import type { ServiceName, Stack, StackProgress } from "../stack.ts";
import { cacheFolder, diskFull, prepareCache, requireSpace } from "./cache.ts";
import { findJava, type Java } from "./java.ts";
import { javaArguments, type KafkaPorts, log4jProperties, serverProperties } from "./kafka.ts";
import { postgresArguments, postgresFile, postgresUser, serverUser } from "./postgres.ts";
import { redisConfiguration } from "./redis.ts";
import { createRun, postgresLabel, type Run, sweepLeftovers } from "./run.ts";
import { type RunningServer, startServer } from "./server.ts";
import { findSoftware, type Software } from "./software.ts";
import { findTemplates, type Templates } from "./templates.ts";
import { plainEnv, runTool } from "./tools.ts";
import { kafkaVersion } from "./versions.ts";

export interface NativeOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Why this kind was taken; becomes the stack's `why`. */
  readonly why: string;
  readonly onProgress: StackProgress;
  /** Full just-in-time compilation in Kafka: slower to start, faster after a minute. For benchmarks. */
  readonly benchmark: boolean;
}

/**
 * Starts all three servers, in parallel, and waits until each answers.
 *
 * @throws CannotRun, or Interrupted when a signal stopped it meanwhile; nothing is left behind
 */
export async function openNative(options: NativeOptions): Promise<Stack> {
  const { env, onProgress } = options;
  const cache = cacheFolder(env);
  const java = findJava(env);
  await prepareCache(cache);
  await sweepLeftovers(cache, onProgress);
  await requireSpace(cache, 200, "a run");
  const run = createRun(cache);
  const forget = stopAtExit({ name: "native stack", stop: run.stop, stopNow: run.stopNow });
  try {
    const software = await findSoftware(cache, run, env, onProgress);
    const templates = await findTemplates(cache, { run, software, java, env }, onProgress);
    const site: Site = { ...options, run, java, software, templates };
    // All are awaited also when one fails: stopping in the middle of another's start would hide the first reason.
    const starts = await Promise.allSettled([startKafka(site), startPostgres(site), startRedis(site)]);
    const failed = starts.find((start) => start.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    const [kafka, postgres, redis] = starts.map((start) => (start as PromiseFulfilledResult<Service>).value);
    if (kafka === undefined || postgres === undefined || redis === undefined) throw new Error("unreachable");
    return assemble(options.why, run, { kafka, postgres, redis }, forget);
  } catch (error) {
    const interrupted = run.stopping();
    await run.stop();
    if (interrupted) throw new Interrupted();
    forget();
    if (error instanceof NotMet) {
      throw diskFull(error, cache) ?? new CannotRun(error.summary, ["the end of its log:", ...error.logTail]);
    }
    throw diskFull(error, cache) ?? error;
  }
}

/** What every server's start needs. */
interface Site extends NativeOptions {
  readonly run: Run;
  readonly java: Java;
  readonly software: Software;
  readonly templates: Templates;
}

interface Service {
  readonly server: RunningServer;
  readonly link: OpenLink;
  readonly direct: string;
  readonly worker: string;
}

function assemble(why: string, run: Run, services: Record<ServiceName, Service>, forget: () => void): Stack {
  const { kafka, postgres, redis } = services;
  const all = [kafka, postgres, redis];
  return {
    kind: "native",
    why,
    lasts: false,
    versions: { kafka: kafkaVersion, postgres: postgres.server.version, redis: redis.server.version },
    direct: { kafkaBrokers: kafka.direct, databaseUrl: postgres.direct, redisUrl: redis.direct },
    worker: { kafkaBrokers: kafka.worker, databaseUrl: postgres.worker, redisUrl: redis.worker },
    link: (service) => services[service].link,
    cannot: () => undefined,
    pause: (service) => services[service].server.pause(),
    resume: (service) => services[service].server.resume(),
    kill: (service) => services[service].server.kill(),
    restart: (service) => services[service].server.restart(),
    processIds: (table) => all.flatMap(({ server }) => server.processIds(table)),
    stop: async () => {
      for (const { link } of all) link.close();
      await run.stop();
      forget();
    },
  };
}

async function startKafka(site: Site): Promise<Service> {
  const { run, software, templates, env } = site;
  const folder = join(run.folder, "kafka");
  await mkdir(folder);
  await writeFile(join(folder, "log4j2.properties"), log4jProperties);
  await cp(templates.kafka, join(folder, "data"), { recursive: true });
  const { classArchive } = templates;
  const archive =
    classArchive === undefined ? {} : { archive: { file: classArchive, use: "start" as const } };
  const jvm = { java: site.java.file, jars: software.kafkaJars, quick: !site.benchmark, ...archive };
  return onFreePorts(run, site.onProgress, async (link) => {
    const controller = await run.claimPort();
    const direct = await run.claimPort();
    const ports: KafkaPorts = { controller, direct, worker: link.servicePort, proxy: link.port };
    const settings = join(folder, "server.properties");
    await writeFile(settings, serverProperties(ports, join(folder, "data")));
    const brokers = `127.0.0.1:${direct}`;
    // A broker does not tell its version; it is the one that was fetched.
    const answers = kafkaAnswers(brokers);
    const spec = {
      title: "Kafka",
      label: "kafka",
      file: jvm.java,
      args: javaArguments(jvm, folder, ["kafka.Kafka", settings]),
      cwd: folder,
      env: plainEnv(env),
      ready: {
        what: answers.what,
        probe: (withinMs: number) => answers.probe(withinMs).then(() => kafkaVersion),
      },
      startTimeoutMs: 60_000,
      politeEnd: { signal: "SIGTERM", graceMs: 10_000 },
    } as const;
    const server = await startServer(run, spec, site.onProgress);
    return { server, direct: brokers, worker: link.address };
  });
}

async function startPostgres(site: Site): Promise<Service> {
  const { run, software, templates, env } = site;
  const user = serverUser();
  const folder = join(run.folder, postgresLabel);
  const data = join(folder, "data");
  await mkdir(folder, { mode: 0o700 });
  if (user !== undefined) await chown(folder, user.uid, user.gid);
  // By cp, as that user: a thousand files with the right owner in a tenth of the time.
  const copy = {
    label: "cp",
    file: "cp",
    args: ["-R", templates.postgres, data],
    cwd: "/",
    env: plainEnv(env),
    user,
  };
  await runTool(run, copy);
  const password = encodeURIComponent(templates.postgresPassword);
  const url = (address: string): string => `postgresql://${postgresUser}:${password}@${address}/postgres`;
  return onFreePorts(run, site.onProgress, async (link) => {
    const address = `127.0.0.1:${link.servicePort}`;
    const spec = {
      title: "PostgreSQL",
      label: postgresLabel,
      file: postgresFile(software.postgresHome),
      args: postgresArguments(data, link.servicePort, site.benchmark),
      cwd: folder,
      env: plainEnv(env),
      user,
      ready: postgresAnswers(url(address), address),
      startTimeoutMs: 30_000,
      politeEnd: { signal: "SIGINT", graceMs: 10_000 },
    } as const;
    const server = await startServer(run, spec, site.onProgress);
    return { server, direct: url(address), worker: url(link.address) };
  });
}

async function startRedis(site: Site): Promise<Service> {
  const { run, software, env } = site;
  const folder = join(run.folder, "redis");
  await mkdir(folder);
  const password = randomBytes(18).toString("base64url");
  const url = (address: string): string => `redis://:${password}@${address}`;
  return onFreePorts(run, site.onProgress, async (link) => {
    const address = `127.0.0.1:${link.servicePort}`;
    const settings = join(folder, "redis.conf");
    await writeFile(settings, redisConfiguration(link.servicePort, folder, password), { mode: 0o600 });
    const spec = {
      title: "Redis",
      label: "redis",
      file: software.redisServer,
      args: [settings],
      cwd: folder,
      env: plainEnv(env),
      ready: redisAnswers(url(address), address),
      startTimeoutMs: 30_000,
      politeEnd: { signal: "SIGTERM", graceMs: 10_000 },
    } as const;
    const server = await startServer(run, spec, site.onProgress);
    return { server, direct: url(address), worker: url(link.address) };
  });
}
