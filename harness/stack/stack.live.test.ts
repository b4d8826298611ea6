/** The contract suite over every kind there is. The external one is the native one's servers, seen from outside. */
import { afterAll, beforeAll, describe } from "vitest";
import { openStack } from "./choose.ts";
import { stackContract } from "./contract.ts";
import type { Stack } from "./stack.ts";

describe("contract", () => {
  let native: Stack;
  beforeAll(async () => {
    native = await openStack({ kind: "native" });
  });
  afterAll(() => native?.stop());

  stackContract("external", () => {
    const { kafkaBrokers, databaseUrl, redisUrl } = native.direct;
    const env = { KAFKA_BROKERS: kafkaBrokers, DATABASE_URL: databaseUrl, REDIS_URL: redisUrl };
    return openStack({ kind: "auto", env });
  });
  stackContract("native", async () => native);
});
