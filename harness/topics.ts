/** Topics made on purpose. */
import type { Admin, ITopicConfig } from "kafkajs";
import { until } from "./until.ts";

/**
 * Resolves when every partition has a leader. kafkajs' own wait for that rejects where the broker's answer comes before
 * its view of the cluster has the topic, as on a busy machine.
 */
export async function createTopics(
  admin: Admin,
  topics: readonly (ITopicConfig & { readonly numPartitions: number })[],
): Promise<void> {
  const names = topics.map(({ topic }) => topic);
  await admin.createTopics({
    topics: topics.map((one) => ({ replicationFactor: 1, ...one })),
    waitForLeaders: false,
  });
  await until(
    `the topics ${names.join(" and ")}`,
    async () => {
      const { topics: known } = await admin.fetchTopicMetadata({ topics: names });
      return topics.every(({ topic, numPartitions }) => {
        const { partitions = [] } = known.find(({ name }) => name === topic) ?? {};
        return partitions.length === numPartitions && partitions.every(({ leader }) => leader >= 0);
      });
    },
    { timeoutMs: 10_000, everyMs: 20 },
  );
}
