/**
 * From a lab and a subject to a record: a place, a worker that is ready and a load that waits, then `measure`. It
 * observes and concludes nothing, and leaves nothing behind.
 */
import { mkdirSync } from "node:fs";
import { CannotRun, Interrupted } from "./cannot-run.ts";
import { type AttachedGateway, attachGateway } from "./gateway/attach.ts";
import type { Lab, Scenario } from "./lab.ts";
import { prepareLoad, type RunningLoad } from "./load/load.ts";
import { measure } from "./measure.ts";
import { openWebhook, type Webhook } from "./operate/webhook.ts";
import { createPlace, type Place } from "./place.ts";
import { watchFetches } from "./probe/fetches.ts";
import { readyMembers } from "./probe/group.ts";
import { calibrate } from "./probe/host.ts";
import type { RunRecord } from "./record/record.ts";
import type { RunOptions } from "./run-options.ts";
import { stopAtExit } from "./stack/shutdown.ts";
import type { Stack } from "./stack/stack.ts";
import { workerEnvironment } from "./subject/contract.ts";
import { type Crew, createCrew } from "./subject/crew.ts";
import { openWorkerBook, type WorkerBook } from "./subject/remember.ts";
import { until } from "./until.ts";

const readyWithinMs = 30_000;

/**
 * @throws CannotRun when the worker never became ready
 * @throws Interrupted when the harness is being stopped; nothing is left running then either
 */
export function run(options: RunOptions): Promise<RunRecord> {
  const interrupted = new AbortController();
  const over = new AbortController();
  const working = surrounded(options, interrupted.signal, over);
  const forget = stopAtExit({
    name: "the run",
    stop: async () => {
      interrupted.abort(new Interrupted());
      await working.catch(() => undefined);
    },
    stopNow: () => over.abort(),
  });
  return working.finally(forget);
}

/** What is there before the first process of a run, and after its last. */
interface Surroundings {
  readonly place: Place;
  readonly book: WorkerBook;
  readonly webhook: Webhook;
  close(): Promise<void>;
}

async function surrounded(
  options: RunOptions,
  signal: AbortSignal,
  over: AbortController,
): Promise<RunRecord> {
  mkdirSync(options.folder, { recursive: true });
  options.onProgress({ step: "place" });
  const surroundings = await openSurroundings(options);
  try {
    return await prepareAndMeasure(options, surroundings, signal, over);
  } finally {
    await surroundings.close();
  }
}

/** All or nothing: where one cannot be opened, those before it are closed. */
async function openSurroundings(options: RunOptions): Promise<Surroundings> {
  const place = await createPlace(options.stack, options.lab, runIdOf(options));
  let book: WorkerBook | undefined;
  try {
    book = await openWorkerBook((event) => options.onProgress({ step: "place", event }));
    const webhook = await openWebhook();
    const close = async (): Promise<void> => {
      webhook.close();
      await Promise.all([place.remove(), book?.close()]);
    };
    return { place, book, webhook, close };
  } catch (error) {
    await Promise.allSettled([place.remove(), book?.close()]);
    throw error;
  }
}

/**
 * @param signal aborted when the harness is being stopped
 * @param over aborted when the run has ended, and before that by whoever wants its processes gone at once
 */
async function prepareAndMeasure(
  options: RunOptions,
  { place, book, webhook }: Surroundings,
  signal: AbortSignal,
  over: AbortController,
): Promise<RunRecord> {
  const { lab, scenario, stack, onProgress } = options;
  const lost = new AbortController();
  let gateway: AttachedGateway | undefined;
  const environment = (workerId: string): Record<string, string> =>
    environmentOf(place, stack, scenario, gateway, webhook, workerId);
  const crew = createCrew({
    book,
    command: options.subject.command,
    cwd: options.cwd,
    folder: options.folder,
    environment,
    onUnplannedExit: () => lost.abort(new Error("the worker ended by itself")),
  });
  over.signal.addEventListener("abort", () => crew.killNow(), { once: true });
  const kafkaLink = stack.link("kafka");
  // Before the first worker opens a connection.
  const fetches = kafkaLink && watchFetches(kafkaLink, place.topic);
  let preparing: Promise<RunningLoad> | undefined;
  try {
    signal.throwIfAborted();
    const calibration = options.calibration ?? (await calibrate());
    signal.throwIfAborted();
    onProgress({ step: "worker" });
    const order = {
      brokers: stack.direct.kafkaBrokers,
      topic: place.topic,
      warmUpTopic: place.warmUpTopic,
      partitions: lab.partitions,
      seed: options.seed,
      load: scenario.load,
    };
    preparing = prepareLoad(order, over.signal, () => onProgress({ step: "warm-up" }));
    // Awaited below; it may fail while the gateway starts.
    preparing.catch(() => undefined);
    gateway = await attachGateway(scenario, options.seed, lab.partitions, over.signal);
    signal.throwIfAborted();
    const { workers = 1 } = scenario;
    await Promise.all(Array.from({ length: workers }, () => crew.start()));
    const [load] = await Promise.all([preparing, awaitReady(crew, place, lab, workers, signal, lost.signal)]);
    return await measure({
      ...options,
      place,
      crew,
      load,
      gateway: await gateway?.calibrated(),
      fetches,
      webhook,
      book,
      environment,
      lost: lost.signal,
      signal,
      calibration,
    });
  } finally {
    over.abort();
    fetches?.end();
    await Promise.all([crew.killAll(), preparing?.then((load) => load.close()).catch(() => undefined)]);
  }
}

async function awaitReady(
  crew: Crew,
  place: Place,
  lab: Lab,
  workers: number,
  signal: AbortSignal,
  /** Aborted when the worker ended by itself. */
  lost: AbortSignal,
): Promise<void> {
  try {
    await until(
      "the worker's group to be stable with every partition assigned",
      () => readyMembers(place.admin, place.groupId, place.topic, lab.partitions, workers),
      { timeoutMs: readyWithinMs, everyMs: 50, signal: AbortSignal.any([signal, lost]) },
    );
  } catch (error) {
    signal.throwIfAborted();
    crew.assertAlive();
    const tail = crew.running()[0]?.tail() ?? "";
    throw new CannotRun(error instanceof Error ? error.message : String(error), [
      "a worker is ready when it has joined the group KAFKA_GROUP_ID on KAFKA_TOPIC",
      ...(tail === "" ? [] : [`its last output:\n${tail}`]),
    ]);
  }
  crew.assertAlive();
  crew.markReady();
}

function environmentOf(
  place: Place,
  stack: Stack,
  scenario: Scenario,
  gateway: Pick<AttachedGateway, "url"> | undefined,
  webhook: Webhook,
  workerId: string,
): Record<string, string> {
  return workerEnvironment(
    {
      workerId,
      kafkaBrokers: stack.worker.kafkaBrokers,
      topic: place.topic,
      groupId: place.groupId,
      databaseUrl:
        (scenario.workers ?? 1) === 1 ? place.workerDatabaseUrl : named(place.workerDatabaseUrl, workerId),
      redisUrl: stack.worker.redisUrl,
      redisPrefix: place.redisPrefix,
      alertUrl: webhook.url,
      ...(gateway === undefined ? {} : { gatewayUrl: gateway.url }),
    },
    scenario.worker,
  );
}

/** The database tells connections of several workers apart by this name, which every client takes from the URL. */
function named(databaseUrl: string, workerId: string): string {
  const url = new URL(databaseUrl);
  url.searchParams.set("application_name", workerId);
  return url.href;
}

let runs = 0;

/** Names of this run on shared services: its seed, and its moment and number so that the same seed can run again. */
function runIdOf({ seed }: RunOptions): string {
  runs += 1;
  return `${Date.now().toString(36)}-${runs.toString(36)}-${seed.toString(36)}`;
}
