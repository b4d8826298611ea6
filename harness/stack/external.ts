/**
 * The external stack: services somebody else runs, named by the environment.
 *
 * Workers reach PostgreSQL and Redis through proxies of the harness. Kafka cannot be put behind one from outside:
 * clients go to the addresses that the brokers themselves advertise. But a Kafka can have a listener for this very
 * purpose, which advertises a free port of this machine: KAFKA_WORKER_LISTENER names it, and the proxy opens there.
 *
 * What somebody else runs is never killed, paused or restarted. Containers of docker-compose.yml are: they are ours.
 */
import { CannotRun } from "../cannot-run.ts";
import { advertisedBrokers } from "./advertised.ts";
import { findComposeServices, tellOwn, watchComposeServices } from "./containers/compose-services.ts";
import { type OpenLink, openLink, type Target } from "./link.ts";
import { freePort } from "./ports.ts";
import { kafkaAnswers, postgresAnswers, redisAnswers } from "./probes.ts";
import { type Condition, messageOf, NotMet, until } from "./readiness.ts";
import { type ServiceUrl, serviceUrl } from "./service-url.ts";
import type { ServiceName, Stack, StackAction, StackProgress } from "./stack.ts";

export const variables = ["KAFKA_BROKERS", "DATABASE_URL", "REDIS_URL"] as const;
/** Optional: `host:port` of a listener of a one-node Kafka that advertises a port of 127.0.0.1 where nothing listens yet. */
const listenerVariable = "KAFKA_WORKER_LISTENER";
type Variable = (typeof variables)[number];

/** The variables that are not set, or empty. */
export const missingVariables = (env: NodeJS.ProcessEnv): readonly Variable[] =>
  variables.filter((name) => (env[name] ?? "").trim() === "");

export interface ExternalOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Why this kind was taken. The first line of progress, and the stack's `why`, add whose the services are. */
  readonly why: string;
  readonly onProgress: StackProgress;
  /** How long services may take to answer; 10,000 when absent: they may have been started a moment ago. */
  readonly timeoutMs?: number;
}

/**
 * Checks that all three services answer and opens the proxies.
 *
 * @throws CannotRun naming the variable, the address (never the credentials) and what to do
 */
export async function openExternal(options: ExternalOptions): Promise<Stack> {
  const { env, timeoutMs = 10_000 } = options;
  const missing = missingVariables(env);
  if (missing.length > 0) {
    throw new CannotRun(
      `the external stack needs ${missing.join(" and ")}, which ${missing.length > 1 ? "are" : "is"} not set`,
      [
        "set all three: KAFKA_BROKERS=host:port, DATABASE_URL=postgresql://..., REDIS_URL=redis://...",
        "or let Sluice start the services: --stack auto with none of them set",
      ],
    );
  }
  const kafkaBrokers = brokerList(env.KAFKA_BROKERS ?? "");
  const database = serviceUrl("DATABASE_URL", env.DATABASE_URL ?? "");
  const redis = serviceUrl("REDIS_URL", env.REDIS_URL ?? "");
  const workerListener = (env[listenerVariable] ?? "").trim();

  const found = await findComposeServices({
    addresses: {
      ...(kafkaBrokers.includes(",") ? {} : { kafka: targetOf(kafkaBrokers) }),
      ...(database.direct === undefined ? { postgres: database.target } : {}),
      ...(redis.direct === undefined ? { redis: redis.target } : {}),
    },
    env,
  });
  const why = options.why + tellOwn(found);
  options.onProgress(why);
  const kafka = kafkaAnswers(kafkaBrokers);
  const ready = {
    kafka: { what: kafka.what, probe: (withinMs: number) => kafka.probe(withinMs).then(() => "unknown") },
    postgres: postgresAnswers(database.url, database.address),
    redis: redisAnswers(redis.url, redis.address),
  };
  const checks = await Promise.allSettled([
    answers("KAFKA_BROKERS", ready.kafka, timeoutMs, []),
    answers("DATABASE_URL", ready.postgres, timeoutMs, database.secrets),
    answers("REDIS_URL", ready.redis, timeoutMs, redis.secrets),
  ] as const);
  const failures = checks.flatMap((check) => (check.status === "rejected" ? [messageOf(check.reason)] : []));
  const [first, ...others] = failures;
  if (first !== undefined) {
    throw new CannotRun(first, [
      ...others.map((other) => `also ${other}`),
      "start the service (one of docker-compose.yml: docker compose up -d --wait), or correct the variable",
      "or unset all three variables and let Sluice start the services (--stack auto)",
    ]);
  }
  const [, postgresVersion, redisVersion] = checks.map((check) =>
    check.status === "fulfilled" ? check.value : undefined,
  );

  const own = await watchComposeServices(found, ready, options.onProgress);
  const links: Partial<Record<ServiceName, OpenLink>> = {};
  const stop = async (): Promise<void> => {
    for (const link of Object.values(links)) link.close();
    await own.release();
  };
  try {
    if (database.direct === undefined) links.postgres = await openLinkTo(database, options.onProgress);
    if (redis.direct === undefined) links.redis = await openLinkTo(redis, options.onProgress);
    if (workerListener !== "")
      links.kafka = await openKafkaLink(workerListener, options.onProgress, timeoutMs);
  } catch (error) {
    await stop();
    throw error;
  }
  const direct = { kafkaBrokers, databaseUrl: database.url, redisUrl: redis.url };
  const whyUnlinked: Partial<Record<ServiceName, string>> = {
    ...(links.kafka === undefined
      ? {
          kafka: `workers reach Kafka directly: its brokers advertise their own addresses, and ${listenerVariable} is not set`,
        }
      : {}),
    ...(database.direct === undefined ? {} : { postgres: database.direct }),
    ...(redis.direct === undefined ? {} : { redis: redis.direct }),
  };
  return {
    kind: "external",
    why,
    lasts: true,
    versions: { kafka: "unknown", postgres: String(postgresVersion), redis: String(redisVersion) },
    direct,
    worker: {
      kafkaBrokers: links.kafka?.address ?? kafkaBrokers,
      databaseUrl: links.postgres === undefined ? database.url : database.through(links.postgres.address),
      redisUrl: links.redis === undefined ? redis.url : redis.through(links.redis.address),
    },
    link: (service) => links[service],
    cannot: (action, service) =>
      action === "cut" || action === "stall"
        ? whyUnlinked[service]
        : own.container(service) === undefined
          ? notOurs(action, service)
          : undefined,
    pause: (service) => own.container(service)?.pause() ?? refuse("pause", service),
    resume: (service) => own.container(service)?.resume() ?? refuse("pause", service),
    kill: (service) => own.container(service)?.kill() ?? refuse("kill", service),
    restart: (service) => own.container(service)?.restart() ?? refuse("restart", service),
    processIds: own.processIds,
    stop,
  };
}

const notOurs = (action: StackAction, service: ServiceName): string =>
  `the harness does not ${action} a ${service} that somebody else runs`;

const refuse = (action: StackAction, service: ServiceName): Promise<never> =>
  Promise.reject(new Error(`${notOurs(action, service)}; ask cannot() first`));

async function answers<T>(
  variable: Variable,
  condition: Condition<T>,
  timeoutMs: number,
  secrets: readonly string[],
): Promise<T> {
  try {
    return await until(condition, { timeoutMs, everyMs: 100, attemptMs: 5_000 });
  } catch (error) {
    const text = error instanceof NotMet ? error.summary : messageOf(error);
    throw new Error(`${variable}: ${secrets.reduce((kept, secret) => kept.replaceAll(secret, "***"), text)}`);
  }
}

async function openLinkTo(service: ServiceUrl, onProgress: StackProgress): Promise<OpenLink> {
  const target = () => service.target;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await openLink({ port: await freePort(), target, onProblem: onProgress });
    } catch (error) {
      if (attempt === 3 || (error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    }
  }
}

/**
 * The proxy where a listener sends its clients.
 *
 * @throws CannotRun when it sends them elsewhere than to a free port of this machine
 */
async function openKafkaLink(
  listener: string,
  onProgress: StackProgress,
  timeoutMs: number,
): Promise<OpenLink> {
  const refuse = (what: string, ...remedies: readonly string[]): CannotRun =>
    new CannotRun(`${listenerVariable}: ${listener} ${what}`, [
      ...remedies,
      `or unset ${listenerVariable}: workers then reach Kafka directly, and what needs a cut stays unknown`,
    ]);
  const target = targetOf(brokerList(listener));
  const brokers = await advertisedBrokers(target, timeoutMs).catch((error: unknown) => {
    throw refuse(`does not answer as a Kafka (${messageOf(error)})`, "correct it, or start the broker");
  });
  const [broker] = brokers;
  const addresses = brokers.map((one) => `${one.host}:${one.port}`).join(", ");
  if (broker === undefined || brokers.length > 1 || !["127.0.0.1", "localhost"].includes(broker.host)) {
    throw refuse(
      `sends clients to ${addresses}, and not to one port of 127.0.0.1`,
      "give Kafka a listener for the purpose, as docker-compose.yml does",
    );
  }
  try {
    return await openLink({ port: broker.port, target: () => target, onProblem: onProgress });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    throw refuse(
      `sends workers to ${addresses}, where the proxy should open, but that port is taken`,
      "end the other run that uses this Kafka, or whatever holds the port (ss -ltnp)",
    );
  }
}

/** @param address a `host:port` */
function targetOf(address: string): Target {
  const [, host = "", port = ""] = /^(.+):(\d{1,5})$/.exec(address) ?? [];
  return { host, port: Number(port) };
}

/** @throws CannotRun when it is not a list of host:port */
function brokerList(text: string): string {
  const brokers = text.split(",").map((broker) => broker.trim());
  if (brokers.every((broker) => /^[^\s:/@]+:\d{1,5}$|^\[[0-9a-f:]+\]:\d{1,5}$/i.test(broker)))
    return brokers.join(",");
  throw new CannotRun("KAFKA_BROKERS is not a list of host:port separated by commas", [
    "for example KAFKA_BROKERS=127.0.0.1:9092",
  ]);
}
