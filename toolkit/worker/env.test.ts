import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { workerEnv } from "./env.ts";

class ContractError extends Error {}

const env = (source: Record<string, string | undefined>) =>
  workerEnv(source, (problem) => {
    throw new ContractError(problem);
  });

const complete = {
  KAFKA_BROKERS: "127.0.0.1:9092, broker-2:9093",
  KAFKA_TOPIC: "payments",
  KAFKA_GROUP_ID: "group 1",
  KAFKA_SESSION_TIMEOUT_MS: "6000",
  DATABASE_URL: "postgres://user:secret@127.0.0.1:5432/run",
  REDIS_URL: "redis://127.0.0.1:6379",
  REDIS_PREFIX: "run:",
  GATEWAY_URL: "http://127.0.0.1:8080/",
  ALERT_URL: "http://127.0.0.1:8080/alerts",
  WORKER_ID: "worker-1",
  WORKER_CONCURRENCY: "16",
  WORKER_MAX_IN_FLIGHT: "1000",
  RETRY_MAX_ATTEMPTS: "5",
  RETRY_BASE_MS: "100",
  RETRY_FACTOR: "1.5",
  RETRY_CAP_MS: "5000",
  RETRY_JITTER: "0.25",
  HTTP_PORT: "8080",
  METRICS_PORT: "9100",
};

/** Asks for everything, as the most curious worker would. */
function everything(source: Record<string, string | undefined>) {
  const read = env(source);
  return { ...read, kafka: { ...read.kafka }, retry: { ...read.retry } };
}

describe("the worker contract", () => {
  test("every variable is read with its type", () => {
    expect(everything(complete)).toEqual({
      kafka: {
        brokers: ["127.0.0.1:9092", "broker-2:9093"],
        topic: "payments",
        groupId: "group 1",
        sessionTimeoutMs: 6000,
      },
      kafkaBrokers: ["127.0.0.1:9092", "broker-2:9093"],
      databaseUrl: "postgres://user:secret@127.0.0.1:5432/run",
      redisUrl: "redis://127.0.0.1:6379",
      redisPrefix: "run:",
      gatewayUrl: "http://127.0.0.1:8080",
      alertUrl: "http://127.0.0.1:8080/alerts",
      workerId: "worker-1",
      concurrency: 16,
      maxInFlight: 1000,
      retry: { maxAttempts: 5, baseMs: 100, factor: 1.5, capMs: 5000, jitter: 0.25 },
      httpPort: 8080,
      metricsPort: 9100,
    });
  });

  const required = Object.keys(complete).filter((name) => name !== "METRICS_PORT");

  test.each(required)("%s missing or empty is an error that names it and shows an example", (name) => {
    for (const value of [undefined, ""]) {
      const ask = () => everything({ ...complete, [name]: value });
      expect(ask).toThrow(ContractError);
      expect(ask).toThrow(new RegExp(`^${name} is not set\\. It is .+, for example ${name}=.+`));
    }
  });

  test.each([
    ["KAFKA_BROKERS", "localhost"],
    ["KAFKA_BROKERS", "kafka://localhost:9092"],
    ["KAFKA_BROKERS", "a:1,,b:2"],
    ["KAFKA_TOPIC", "pay ments"],
    ["KAFKA_SESSION_TIMEOUT_MS", "6s"],
    ["KAFKA_SESSION_TIMEOUT_MS", "99"],
    ["DATABASE_URL", "mysql://127.0.0.1/run"],
    ["DATABASE_URL", "127.0.0.1:5432"],
    ["REDIS_URL", "http://127.0.0.1"],
    ["GATEWAY_URL", "127.0.0.1:8080"],
    ["WORKER_CONCURRENCY", "0"],
    ["WORKER_MAX_IN_FLIGHT", "-5"],
    ["WORKER_MAX_IN_FLIGHT", "1e3"],
    ["RETRY_FACTOR", "0.5"],
    ["RETRY_JITTER", "1.1"],
    ["METRICS_PORT", "65536"],
  ])("%s=%s is an error that names the variable and quotes the value", (name, value) => {
    const ask = () => everything({ ...complete, [name]: value });
    expect(ask).toThrow(ContractError);
    expect(ask).toThrow(new RegExp(`^${name} must be `));
    expect(ask).toThrow(JSON.stringify(value));
  });

  test("no text makes a number out of range, or anything but a contract error", () => {
    fc.assert(
      fc.property(fc.string(), (value) => {
        try {
          const read = env({ ...complete, WORKER_MAX_IN_FLIGHT: value, RETRY_JITTER: value });
          expect(Number.isSafeInteger(read.maxInFlight) && read.maxInFlight >= 1).toBe(true);
          expect(read.retry.jitter).toSatisfy((jitter: number) => jitter >= 0 && jitter <= 1);
        } catch (error) {
          expect(error).toBeInstanceOf(ContractError);
        }
      }),
    );
  });

  test("a worker needs only the variables it asks for", () => {
    const read = env({ WORKER_ID: "alone" });
    expect(read.workerId).toBe("alone");
    expect(read.metricsPort).toBeUndefined();
  });
});

test("a worker without its variables exits 1 with one line and no stack trace", () => {
  const program = `import { workerEnv } from ${JSON.stringify(new URL("./env.ts", import.meta.url).href)};
    console.log(workerEnv().kafka);`;
  const run = spawnSync(process.execPath, ["--import", "tsx", "--input-type=module", "--eval", program], {
    encoding: "utf8",
    env: { PATH: process.env.PATH, KAFKA_BROKERS: "127.0.0.1:9092" },
  });
  expect(run.stderr).toBe(
    "KAFKA_TOPIC is not set. It is the topic to consume, for example KAFKA_TOPIC=payments\n",
  );
  expect(run.status).toBe(1);
  expect(run.stdout).toBe("");
});
