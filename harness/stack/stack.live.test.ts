/** The contract suite over every kind there is. The external one is the native one's servers, seen from outside. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CannotRun } from "../cannot-run.ts";
import { openStack } from "./choose.ts";
import { stackContract } from "./contract.ts";
import { openExternal } from "./external.ts";
import { freePort } from "./ports.ts";
import type { Stack } from "./stack.ts";

describe("contract", () => {
  let native: Stack;
  beforeAll(async () => {
    native = await openStack({ kind: "native" });
  });
  afterAll(() => native?.stop());

  const environment = () => {
    const { kafkaBrokers, databaseUrl, redisUrl } = native.direct;
    return { KAFKA_BROKERS: kafkaBrokers, DATABASE_URL: databaseUrl, REDIS_URL: redisUrl };
  };
  const refusal = async (changes: Readonly<Record<string, string>>): Promise<CannotRun> => {
    const env = { ...environment(), ...changes };
    const error = await openExternal({ env, why: "", onProgress: () => {}, timeoutMs: 300 }).catch(
      (it: unknown) => it,
    );
    if (!(error instanceof CannotRun)) throw new Error(`expected CannotRun, got ${String(error)}`);
    return error;
  };

  it("an external service that does not answer is named by variable and address, with a remedy", async () => {
    const nobody = await freePort();
    const changes = {
      KAFKA_BROKERS: `127.0.0.1:${nobody}`,
      DATABASE_URL: `postgresql://me:hunter2@127.0.0.1:${nobody}/db`,
      REDIS_URL: `redis://:hunter2@127.0.0.1:${nobody}`,
    };
    for (const [variable, value] of Object.entries(changes)) {
      const { message, remedies } = await refusal({ [variable]: value });
      expect(message).toContain(`${variable}: `);
      expect(message).toContain(`127.0.0.1:${nobody}`);
      expect(message).toContain("ECONNREFUSED");
      expect(remedies.join()).toContain("start the service");
      expect([message, ...remedies].join()).not.toContain("hunter2");
    }
  });

  it("a wrong password is said, and not shown", async () => {
    const wrong = (url: string): string => Object.assign(new URL(url), { password: "hunter2" }).href;
    const { DATABASE_URL, REDIS_URL } = environment();
    const { message, remedies } = await refusal({
      DATABASE_URL: wrong(DATABASE_URL),
      REDIS_URL: wrong(REDIS_URL),
    });
    expect(message).toMatch(/DATABASE_URL.*password authentication failed/);
    expect(remedies.join()).toMatch(/REDIS_URL.*WRONGPASS/);
    expect([message, ...remedies].join()).not.toContain("hunter2");
  });

  stackContract("external", () => openStack({ kind: "auto", env: environment() }));
  stackContract("native", async () => native);
});
