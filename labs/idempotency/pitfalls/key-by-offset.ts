/**
 * Mistake: the key is the message's place in Kafka: topic, partition and offset.
 *
 * Why people make it: it is unique, it is always there, and it needs nothing from the producer. Redelivery after a kill
 * is told apart perfectly.
 *
 * What it costs: it names the message, not the payment. A producer that sends again, because an answer got lost on its
 * way, makes a new message with a new offset; the payment is made twice. And a key that is used for another payload
 * cannot be noticed at all.
 *
 * Fails `one-effect-per-key`.
 */
import { parts, payOnce } from "../solution.ts";

await payOnce({
  ...parts,
  keyOf: (_, { topic, partition, offset }) => `${topic}/${partition}/${offset}`,
});
