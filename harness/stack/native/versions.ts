/** What the native stack runs, pinned. Only here. */
export const kafkaVersion = "4.1.0";
export const postgresVersion = "17.6";
/** Of the artifact; it holds redis-server 6.2. */
export const embeddedRedisVersion = "1.4.3";
/** A `redis-server` found on PATH is used from this version on. */
export const oldestRedis = [6, 2] as const;
export const oldestJava = 17;
/** Kafka logs through SLF4J and brings no binding of its own; without one it would not say why it cannot start. */
export const log4jVersion = "2.24.3";
export const dependencyPluginVersion = "3.6.1";
