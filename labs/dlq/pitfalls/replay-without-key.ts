/**
 * Mistake: a replay is taken for a new message. The key of its effect is its new place in Kafka, and the letter's own
 * key, which it carries, is not looked at.
 *
 * Why people make it: topic, partition and offset are unique, and for redeliveries they are the right key. A replay is
 * the one case in which the same message has two places.
 *
 * What it costs: an operator who is not sure whether the first replay worked sends it again, and every customer of that
 * hour has paid twice.
 *
 * Fails `replay-once`.
 */
import { parts, work } from "../solution.ts";

await work({ ...parts, effectKey: ({ topic, partition, offset }) => `${topic}/${partition}/${offset}` });
