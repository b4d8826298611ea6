/** The worker contract: everything a worker is told, by environment. These names are public interface. */
import type { RetrySettings, WorkerSettings } from "../lab.ts";

export interface WorkerPlace {
  readonly workerId: string;
  readonly kafkaBrokers: string;
  readonly topic: string;
  readonly groupId: string;
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly redisPrefix: string;
  /** Only in labs with a gateway. */
  readonly gatewayUrl?: string;
  readonly alertUrl?: string;
}

export function workerEnvironment(place: WorkerPlace, settings: WorkerSettings): Record<string, string> {
  return {
    KAFKA_BROKERS: place.kafkaBrokers,
    KAFKA_TOPIC: place.topic,
    KAFKA_GROUP_ID: place.groupId,
    KAFKA_SESSION_TIMEOUT_MS: String(settings.sessionTimeoutMs),
    DATABASE_URL: place.databaseUrl,
    REDIS_URL: place.redisUrl,
    REDIS_PREFIX: place.redisPrefix,
    ...(place.gatewayUrl === undefined ? {} : { GATEWAY_URL: place.gatewayUrl }),
    ...(place.alertUrl === undefined ? {} : { ALERT_URL: place.alertUrl }),
    WORKER_ID: place.workerId,
    WORKER_CONCURRENCY: String(settings.concurrency),
    WORKER_MAX_IN_FLIGHT: String(settings.maxInFlight),
    ...(settings.retry === undefined ? {} : retryEnvironment(settings.retry)),
  };
}

function retryEnvironment(retry: RetrySettings): Record<string, string> {
  return {
    RETRY_MAX_ATTEMPTS: String(retry.maxAttempts),
    RETRY_BASE_MS: String(retry.baseMs),
    RETRY_FACTOR: String(retry.factor),
    RETRY_CAP_MS: String(retry.capMs),
    RETRY_JITTER: String(retry.jitter),
  };
}
