/**
 * Mistake: the keys are in Redis, with SET NX and a time to live. Here it is two seconds, so that one need not wait for
 * the day that it is elsewhere.
 *
 * Why people make it: SET NX is race-safe, a hundred times quicker than a transaction, and it cleans up after itself.
 * Between yesterday and now nobody sends anything twice.
 *
 * What it costs: somebody does. A topic is replayed after an incident, a producer's outbox comes back a week later, a
 * new group starts from the beginning: every key is gone, and every payment is made again. And the key and the effect
 * are in two stores, so a worker that dies between them loses the payment.
 *
 * Fails `replay-harmless`.
 */
import { Redis } from "ioredis";
import { inTransaction } from "../../../toolkit/postgres/open.ts";
import { workerEnv } from "../../../toolkit/worker/env.ts";
import { flag } from "../money.ts";
import { newAndConflicting } from "../pitfall-parts.ts";
import { parts, payOnce } from "../solution.ts";

const timeToLiveMs = 2_000;
const { redisUrl, redisPrefix } = workerEnv();
const redis = new Redis(redisUrl);

await payOnce({
  ...parts,
  async store(db, calls) {
    const { fresh: candidates } = newAndConflicting(calls, new Map());
    const claims = redis.pipeline();
    for (const { key, payloadHash } of candidates) {
      claims.set(`${redisPrefix}${key}`, Buffer.from(payloadHash), "PX", timeToLiveMs, "NX");
    }
    const claimed = (await claims.exec()) ?? [];
    const known = new Map<string, Uint8Array>();
    for (const [i, { key, payloadHash }] of candidates.entries()) {
      if (claimed[i]?.[1] === "OK") continue;
      known.set(key, (await redis.getBuffer(`${redisPrefix}${key}`)) ?? payloadHash);
    }
    const { fresh, conflicts } = newAndConflicting(calls, known);
    await inTransaction(db, async (connection) => {
      if (fresh.length > 0) await parts.spend(connection, fresh);
      await flag(connection, conflicts);
    });
  },
});
redis.disconnect();
