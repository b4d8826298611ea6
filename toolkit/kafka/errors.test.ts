import { createRequire } from "node:module";
import { expect, test } from "vitest";
import { isRefusal, type KafkaTrouble, kafkaTrouble } from "./errors.ts";

const kafkajs = createRequire(import.meta.url)("kafkajs/src/errors");
const answered = (type: string, retriable: boolean): Error =>
  new kafkajs.KafkaJSProtocolError({ type, retriable, message: type });
const refused = new Error("connect ECONNREFUSED");

test.each<[string, KafkaTrouble, unknown]>([
  ["a group that has forgotten its member", "lost", answered("UNKNOWN_MEMBER_ID", false)],
  ["a rebalance", "rebalancing", answered("REBALANCE_IN_PROGRESS", false)],
  ["a refused right", "final", answered("GROUP_AUTHORIZATION_FAILED", false)],
  ["an answer that asks to try again", "passing", answered("LEADER_NOT_AVAILABLE", true)],
  ["a refused connection", "passing", refused],
  ["the last retry of kafkajs", "passing", new kafkajs.KafkaJSNumberOfRetriesExceeded(refused, {})],
  ["a wait of kafkajs that was too long", "passing", new kafkajs.KafkaJSTimeout("waited")],
  ["a lock that kafkajs did not get", "passing", new kafkajs.KafkaJSLockTimeout("waited")],
  ["no coordinator yet", "passing", new kafkajs.KafkaJSGroupCoordinatorNotFound("none")],
])("%s is %s", (_, trouble, error) => expect(kafkaTrouble(error)).toBe(trouble));

test("only a broker's own final answer is a refusal", () => {
  expect(isRefusal(answered("MESSAGE_TOO_LARGE", false))).toBe(true);
  expect(isRefusal(answered("NOT_LEADER_FOR_PARTITION", true))).toBe(false);
  expect(isRefusal(new kafkajs.KafkaJSNonRetriableError("the client is misused"))).toBe(false);
  expect(isRefusal(refused)).toBe(false);
});
