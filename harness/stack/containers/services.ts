/** The three services as containers: image, settings, ports, and how each is reached. */
import { randomBytes } from "node:crypto";
import { kafkaAnswers, postgresAnswers, redisAnswers } from "../probes.ts";
import type { Condition } from "../readiness.ts";
import { kafkaSettings, postgresSettings, redisSettings, type Settings } from "../settings.ts";
import type { ServiceName } from "../stack.ts";
import { images, kafkaVersion } from "./images.ts";

/** Ports on the engine's machine and the password of one service; all that is needed to reach it. */
export interface Access {
  /** Published for workers, by way of the proxy. */
  readonly servicePort: number;
  /** Published for the harness. The same as `servicePort` but for Kafka, whose listeners each advertise one address. */
  readonly directPort: number;
  /** The proxy's, on 127.0.0.1 of the harness's machine. Kafka advertises it. */
  readonly proxyPort: number;
  readonly password: string;
}

export interface ServiceSpec {
  /** For people. */
  readonly title: string;
  readonly image: string;
  readonly environment: Readonly<Record<string, string>>;
  /** The image's own when absent. */
  readonly command?: readonly string[];
  /** Text files, by their path in the container. */
  readonly files: Readonly<Record<string, string>>;
  readonly ports: readonly { readonly container: number; readonly host: number }[];
  /** Met when it really answers; gives its version. */
  readonly ready: Condition<string>;
  readonly startTimeoutMs: number;
  /** For the harness, and for workers. */
  readonly direct: string;
  readonly worker: string;
}

/** For people, and how long a start may take. */
export const patience: Readonly<Record<ServiceName, Pick<ServiceSpec, "title" | "startTimeoutMs">>> = {
  kafka: { title: "Kafka", startTimeoutMs: 90_000 },
  postgres: { title: "PostgreSQL", startTimeoutMs: 60_000 },
  redis: { title: "Redis", startTimeoutMs: 30_000 },
};

export const newPassword = (): string => randomBytes(18).toString("base64url");

/**
 * @param host where published ports are reached
 * @param benchmark servers for minutes of load rather than for a quick start
 */
export function serviceSpec(
  service: ServiceName,
  access: Access,
  host: string,
  benchmark: boolean,
): ServiceSpec {
  if (service === "kafka") return kafka(access, host, benchmark);
  return service === "postgres" ? postgres(access, host, benchmark) : redis(access, host);
}

function kafka(access: Access, host: string, benchmark: boolean): ServiceSpec {
  const direct = `${host}:${access.directPort}`;
  const worker = `127.0.0.1:${access.proxyPort}`;
  const answers = kafkaAnswers(direct);
  return {
    ...patience.kafka,
    image: images.kafka,
    environment: {
      CLUSTER_ID: "5L6g3nShT-eMCtK--X86sw",
      // On a volume, as the stores of the other two are.
      KAFKA_LOG_DIRS: "/var/lib/kafka/data",
      KAFKA_HEAP_OPTS: "-Xms128m -Xmx768m",
      // With C1 only, the broker is there sooner and takes less of the machine at first.
      ...(benchmark ? {} : { KAFKA_JVM_PERFORMANCE_OPTS: "-XX:+UseSerialGC -XX:TieredStopAtLevel=1" }),
      ...kafkaEnvironment({
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": "1@localhost:9094",
        "controller.listener.names": "CONTROLLER",
        // The broker talks to itself, from inside the container, where published ports lead nowhere.
        "inter.broker.listener.name": "BROKER",
        listeners:
          "DIRECT://0.0.0.0:9092,WORKER://0.0.0.0:9093,CONTROLLER://localhost:9094,BROKER://localhost:9095",
        "advertised.listeners": `DIRECT://${direct},WORKER://${worker},BROKER://localhost:9095`,
        "listener.security.protocol.map":
          "DIRECT:PLAINTEXT,WORKER:PLAINTEXT,CONTROLLER:PLAINTEXT,BROKER:PLAINTEXT",
        ...kafkaSettings,
      }),
    },
    files: {},
    ports: [
      { container: 9092, host: access.directPort },
      { container: 9093, host: access.servicePort },
    ],
    ready: { what: answers.what, probe: (withinMs) => answers.probe(withinMs).then(() => kafkaVersion) },
    direct,
    worker,
  };
}

/** The image's way to say server.properties: broker.session.timeout.ms is KAFKA_BROKER_SESSION_TIMEOUT_MS. */
export const kafkaEnvironment = (settings: Settings): Record<string, string> =>
  Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [
      `KAFKA_${name.toUpperCase().replaceAll(".", "_")}`,
      String(value),
    ]),
  );

function postgres(access: Access, host: string, benchmark: boolean): ServiceSpec {
  const url = (port: string): string => `postgresql://postgres:${access.password}@${port}/postgres`;
  const address = `${host}:${access.servicePort}`;
  const settings: Settings = {
    ...postgresSettings,
    ...(benchmark ? { shared_buffers: "512MB", max_wal_size: "4GB" } : {}),
  };
  return {
    ...patience.postgres,
    image: images.postgres,
    environment: {
      POSTGRES_PASSWORD: access.password,
      POSTGRES_INITDB_ARGS: "--encoding=UTF8 --locale=C --no-sync",
    },
    command: ["postgres", ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])],
    files: {},
    ports: [{ container: 5432, host: access.servicePort }],
    ready: postgresAnswers(url(address), address),
    direct: url(address),
    worker: url(`127.0.0.1:${access.proxyPort}`),
  };
}

function redis(access: Access, host: string): ServiceSpec {
  const url = (port: string): string => `redis://:${access.password}@${port}`;
  const address = `${host}:${access.servicePort}`;
  const settings: Settings = { requirepass: access.password, dir: "/data", ...redisSettings };
  const file = "/usr/local/etc/redis/redis.conf";
  return {
    ...patience.redis,
    image: images.redis,
    environment: {},
    // A file, because every process list of the engine's machine shows arguments.
    command: ["redis-server", file],
    files: {
      [file]: Object.entries(settings)
        .map(([name, value]) => `${name} ${value}\n`)
        .join(""),
    },
    ports: [{ container: 6379, host: access.servicePort }],
    ready: redisAnswers(url(address), address),
    direct: url(address),
    worker: url(`127.0.0.1:${access.proxyPort}`),
  };
}
