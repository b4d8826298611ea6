/**
 * Warms up a broker until it keeps up with any load. A broker compiles its code while it serves, and what it cannot
 * answer meanwhile piles up: a load that meets it cold measures that, and some loads are over before it is warm.
 *
 * Rounds of a load are offered, open loop, as a run's own is. A group reads them beside: produced, fetched and committed
 * is what a run's events are, and each is code of its own.
 */
import { type Admin, Kafka, logLevel } from "kafkajs";
import type { Load } from "../lab.ts";
import { quantile } from "../quantile.ts";
import { planMessages } from "./messages.ts";
import { pace } from "./pace.ts";
import { aboutEventBytes } from "./prepared.ts";
import { openProducer } from "./produce.ts";
import type { GeneratorOrder } from "./protocol.ts";
import { dueTimes, schedule } from "./schedule.ts";

/** As many requests a second as any load has, 500; of small events, because large ones only fill the broker's disk. */
const roundLoad: Load = {
  phases: [{ name: "round", forMs: 250, perSecond: 2_000 }],
  accounts: 200,
  paddingLength: 64,
  malformedOneIn: 0,
};
/** Half of what is held against a broker when it is judged (`maxAckMs` in verdict/broker.ts). */
const quickMs = 50;
/** One can be luck: after 31 ms a broker was seen to take 143 in the next. */
const quickRounds = 2;
/** A machine on which no broker becomes so quick must not wait for ever: a cold one was seen to need 6 s. */
const longestMs = 10_000;
/** The reader's last fetch finds nothing, and ends no sooner. */
const fetchWaitMs = 100;

/** Resolves when the broker is warm, or has had all the time there is for it. */
export async function warmUp(admin: Admin, order: GeneratorOrder): Promise<void> {
  const producer = await openProducer(admin, order.warmUpTopic);
  const closeReader = await openReader(admin, order);
  const prepared = {
    plan: planMessages(order.seed, roundLoad, order.partitions),
    topic: order.warmUpTopic,
    due: dueTimes(schedule(roundLoad.phases)),
    leaderOf: producer.leaderOf,
    eventBytes: aboutEventBytes(roundLoad),
  };
  const round = async (): Promise<number> => {
    const ackMs: number[] = [];
    const report = {
      acknowledged: (one: { readonly sentMs: number; readonly ackedMs: number }) =>
        ackMs.push(one.ackedMs < 0 ? Number.POSITIVE_INFINITY : one.ackedMs - one.sentMs),
      error: () => undefined,
    };
    await pace({ ...prepared, startEpochMs: Date.now() }, producer, report, () => false);
    return quantile(ackMs, 0.99);
  };
  try {
    await untilQuick(round, performance);
  } finally {
    producer.close();
    await closeReader();
  }
}

/**
 * Repeats the round until the broker is quick, or the time is up.
 * @param round gives how long 99 of 100 requests waited for their answer at most, ms
 */
export async function untilQuick(
  round: () => Promise<number>,
  clock: { readonly now: () => number },
): Promise<void> {
  const endMs = clock.now() + longestMs;
  for (let quick = 0; quick < quickRounds && clock.now() < endMs; ) {
    quick = (await round()) < quickMs ? quick + 1 : 0;
  }
}

/** @returns ends it, and its group with it */
async function openReader(admin: Admin, order: GeneratorOrder): Promise<() => Promise<void>> {
  const groupId = order.warmUpTopic;
  const consumer = new Kafka({
    clientId: "sluice-warm-up",
    brokers: order.brokers.split(","),
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50, retries: 8 },
  }).consumer({ groupId, maxWaitTimeInMs: fetchWaitMs });
  await consumer.connect();
  await consumer.subscribe({ topic: order.warmUpTopic, fromBeginning: true });
  // A batch that was handled is committed.
  await consumer.run({ eachBatch: async () => undefined });
  return async () => {
    await consumer.disconnect();
    await admin.deleteGroups([groupId]);
  };
}
