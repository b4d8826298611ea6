/**
 * The worker contract: everything a worker is told comes by environment variables, read here and nowhere else.
 *
 * ```ts
 * const env = workerEnv();
 * const db = openPostgres(env.databaseUrl);
 * ```
 */

export interface WorkerEnv {
  /** `KAFKA_BROKERS`, `KAFKA_TOPIC`, `KAFKA_GROUP_ID`, `KAFKA_SESSION_TIMEOUT_MS`. */
  readonly kafka: KafkaEnv;
  /** `KAFKA_BROKERS` alone, for a program that joins no group. */
  readonly kafkaBrokers: readonly string[];
  /** `DATABASE_URL` */
  readonly databaseUrl: string;
  /** `REDIS_URL` */
  readonly redisUrl: string;
  /** `REDIS_PREFIX`: every key of the worker begins with it. */
  readonly redisPrefix: string;
  /** `GATEWAY_URL`, without a slash at its end. */
  readonly gatewayUrl: string;
  /** `ALERT_URL` */
  readonly alertUrl: string;
  /** `WORKER_ID` */
  readonly workerId: string;
  /** `WORKER_CONCURRENCY`: gateway calls at once, at least 1. */
  readonly concurrency: number;
  /** `WORKER_MAX_IN_FLIGHT`: events pulled and not yet finished, at least 1. */
  readonly maxInFlight: number;
  /** `RETRY_MAX_ATTEMPTS`, `RETRY_BASE_MS`, `RETRY_FACTOR`, `RETRY_CAP_MS`, `RETRY_JITTER`. */
  readonly retry: RetryEnv;
  /** `HTTP_PORT`: where a worker that is pushed listens, on 127.0.0.1. */
  readonly httpPort: number;
  /** `METRICS_PORT`; undefined when there are to be no metrics. */
  readonly metricsPort: number | undefined;
}

export interface KafkaEnv {
  /** `host:port` each. */
  readonly brokers: readonly string[];
  readonly topic: string;
  readonly groupId: string;
  /** How long the group waits for a silent worker before it gives its partitions to others. */
  readonly sessionTimeoutMs: number;
}

export interface RetryEnv {
  /** Attempts in all, the first included. */
  readonly maxAttempts: number;
  readonly baseMs: number;
  readonly factor: number;
  readonly capMs: number;
  /** 0 to 1. */
  readonly jitter: number;
}

interface Variable<Value> {
  readonly name: string;
  readonly purpose: string;
  readonly example: string;
  /** The value, or what was expected instead. */
  read(text: string): Value | Expected;
}

/** What `read` gives for a malformed text: "a whole number of at least 1". */
interface Expected {
  readonly expected: string;
}

const text = (value: string): string => value;

function wholeNumber(atLeast: number, atMost = Number.MAX_SAFE_INTEGER) {
  return (value: string): number | Expected => {
    const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
    if (number >= atLeast && number <= atMost) return number;
    const upper = atMost === Number.MAX_SAFE_INTEGER ? "" : ` and at most ${atMost}`;
    return { expected: `a whole number of at least ${atLeast}${upper}` };
  };
}

function decimal(atLeast: number, atMost = Number.POSITIVE_INFINITY) {
  return (value: string): number | Expected => {
    const number = /^\d+(\.\d+)?$/.test(value) ? Number(value) : Number.NaN;
    if (number >= atLeast && number <= atMost) return number;
    return {
      expected:
        atMost === Number.POSITIVE_INFINITY
          ? `a number of at least ${atLeast}`
          : `a number from ${atLeast} to ${atMost}`,
    };
  };
}

function url(...protocols: string[]) {
  return (value: string): string | Expected => {
    const protocol = URL.canParse(value) ? new URL(value).protocol : "";
    if (protocols.includes(protocol)) return value;
    return { expected: `a URL that begins with ${protocols.map((one) => `${one}//`).join(" or ")}` };
  };
}

function hostsAndPorts(value: string): readonly string[] | Expected {
  const brokers = value.split(",").map((broker) => broker.trim());
  const wellFormed = brokers.every((broker) => /^(\[[0-9a-fA-F:.]+\]|[^\s:,/]+):\d{1,5}$/.test(broker));
  return wellFormed ? brokers : { expected: "host:port, comma separated when there are several" };
}

function kafkaName(value: string): string | Expected {
  return /^[a-zA-Z0-9._-]{1,249}$/.test(value)
    ? value
    : { expected: "1 to 249 letters, digits, dots, underscores and hyphens" };
}

const http = url("http:", "https:");

/** One row a variable: name, what it is for, an example, how it is read. */
const variables = {
  brokers: variable("KAFKA_BROKERS", "the Kafka brokers to connect to", "127.0.0.1:9092", hostsAndPorts),
  topic: variable("KAFKA_TOPIC", "the topic to consume", "payments", kafkaName),
  groupId: variable("KAFKA_GROUP_ID", "the consumer group to join", "ingest-1", text),
  sessionTimeoutMs: variable(
    "KAFKA_SESSION_TIMEOUT_MS",
    "how long the group waits for a silent worker, in ms",
    "6000",
    wholeNumber(100),
  ),
  databaseUrl: variable(
    "DATABASE_URL",
    "the Postgres database to write to",
    "postgres://postgres@127.0.0.1:5432/ingest",
    url("postgres:", "postgresql:"),
  ),
  redisUrl: variable("REDIS_URL", "the Redis to use", "redis://127.0.0.1:6379", url("redis:", "rediss:")),
  redisPrefix: variable("REDIS_PREFIX", "what every Redis key of this worker begins with", "run-1:", text),
  gatewayUrl: variable("GATEWAY_URL", "the payment gateway to call", "http://127.0.0.1:8080", (value) => {
    const read = http(value);
    return typeof read === "string" ? read.replace(/\/+$/, "") : read;
  }),
  alertUrl: variable("ALERT_URL", "where alerts are posted to", "http://127.0.0.1:8080/alerts", http),
  workerId: variable("WORKER_ID", "the name of this worker", "worker-1", text),
  concurrency: variable("WORKER_CONCURRENCY", "how many gateway calls to make at once", "16", wholeNumber(1)),
  maxInFlight: variable(
    "WORKER_MAX_IN_FLIGHT",
    "how many events may be pulled and not yet finished",
    "10000",
    wholeNumber(1),
  ),
  maxAttempts: variable("RETRY_MAX_ATTEMPTS", "attempts in all, the first included", "5", wholeNumber(1)),
  baseMs: variable("RETRY_BASE_MS", "the wait before the second attempt, in ms", "100", decimal(0)),
  factor: variable("RETRY_FACTOR", "how much longer each wait is than the one before", "2", decimal(1)),
  capMs: variable("RETRY_CAP_MS", "the longest wait between attempts, in ms", "5000", decimal(0)),
  jitter: variable("RETRY_JITTER", "the share of a wait that is drawn at random", "0.5", decimal(0, 1)),
  httpPort: variable("HTTP_PORT", "the port to listen on, on 127.0.0.1", "8080", wholeNumber(1, 65_535)),
  metricsPort: variable("METRICS_PORT", "the port for Prometheus metrics", "9100", wholeNumber(1, 65_535)),
};

function variable<Value>(
  name: string,
  purpose: string,
  example: string,
  read: (text: string) => Value | Expected,
): Variable<Value> {
  return { name, purpose, example, read };
}

/**
 * The worker contract of this process.
 *
 * A variable is checked when the worker asks for it, so that a worker needs only those it uses: ask at the top of
 * the program. One that is missing or malformed ends the process with exit code 1 and one line on stderr that
 * names it, what it is for and an example.
 *
 * @param source where to read; a test gives its own
 * @param fail what to do with that line; must not return
 */
export function workerEnv(
  source: Readonly<Record<string, string | undefined>> = process.env,
  fail: (problem: string) => never = exitWith,
): WorkerEnv {
  const read = <Value extends string | number | readonly string[]>(one: Variable<Value>): Value => {
    const raw = source[one.name];
    const hint = `It is ${one.purpose}, for example ${one.name}=${one.example}`;
    if (raw === undefined || raw === "") return fail(`${one.name} is not set. ${hint}`);
    const value = one.read(raw);
    if (!isExpected(value)) return value;
    return fail(`${one.name} must be ${value.expected}, and is ${JSON.stringify(raw)}. ${hint}`);
  };
  return {
    get kafka() {
      return {
        brokers: read(variables.brokers),
        topic: read(variables.topic),
        groupId: read(variables.groupId),
        sessionTimeoutMs: read(variables.sessionTimeoutMs),
      };
    },
    get kafkaBrokers() {
      return read(variables.brokers);
    },
    get databaseUrl() {
      return read(variables.databaseUrl);
    },
    get redisUrl() {
      return read(variables.redisUrl);
    },
    get redisPrefix() {
      return read(variables.redisPrefix);
    },
    get gatewayUrl() {
      return read(variables.gatewayUrl);
    },
    get alertUrl() {
      return read(variables.alertUrl);
    },
    get workerId() {
      return read(variables.workerId);
    },
    get concurrency() {
      return read(variables.concurrency);
    },
    get maxInFlight() {
      return read(variables.maxInFlight);
    },
    get retry() {
      return {
        maxAttempts: read(variables.maxAttempts),
        baseMs: read(variables.baseMs),
        factor: read(variables.factor),
        capMs: read(variables.capMs),
        jitter: read(variables.jitter),
      };
    },
    get httpPort() {
      return read(variables.httpPort);
    },
    get metricsPort() {
      const raw = source[variables.metricsPort.name];
      return raw === undefined || raw === "" ? undefined : read(variables.metricsPort);
    },
  };
}

function isExpected(value: unknown): value is Expected {
  return typeof value === "object" && value !== null && "expected" in value;
}

function exitWith(problem: string): never {
  process.stderr.write(`${problem}\n`);
  process.exit(1);
}
