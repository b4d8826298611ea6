/** What the container stack runs, pinned. Only here; a test holds docker-compose.yml to it. */
import type { ServiceName } from "../stack.ts";

/** Official images. Redis 7.2 is the last of its line under the BSD licence. */
export const images: Readonly<Record<ServiceName, string>> = {
  kafka: "apache/kafka:4.1.0",
  postgres: "postgres:17.6-alpine",
  redis: "redis:7.2-alpine",
};

/** A broker does not tell its version; it is the one of the tag. */
export const kafkaVersion = images.kafka.split(":")[1] ?? "unknown";
