/** What an error of kafkajs means for a member of a group. */

export type KafkaTrouble =
  /** The group has forgotten this member, or has gone on without it: its partitions belong to others. */
  | "lost"
  /** The group is dividing its partitions anew, or its coordinator moves: the member has to join again. */
  | "rebalancing"
  /** The way to the broker is broken, or the broker is not ready: try again. */
  | "passing"
  /** No second try will succeed: not authorised, unsupported, misconfigured. */
  | "final";

const lost = new Set(["UNKNOWN_MEMBER_ID", "ILLEGAL_GENERATION", "FENCED_INSTANCE_ID"]);
const rebalancing = new Set(["REBALANCE_IN_PROGRESS", "NOT_COORDINATOR_FOR_GROUP"]);

/** kafkajs marks these not to be retried, and means by it only that it has tried or waited for a while itself. */
const gaveUp = new Set([
  "KafkaJSNumberOfRetriesExceeded",
  "KafkaJSTimeout",
  "KafkaJSLockTimeout",
  "KafkaJSGroupCoordinatorNotFound",
]);

export function kafkaTrouble(error: unknown): KafkaTrouble {
  const type = property(error, "type");
  if (typeof type === "string" && lost.has(type)) return "lost";
  if (typeof type === "string" && rebalancing.has(type)) return "rebalancing";
  const name = property(error, "name");
  if (typeof name === "string" && gaveUp.has(name)) return "passing";
  return property(error, "retriable") === false ? "final" : "passing";
}

/** Whether a broker answered that it will not take what was sent, now or later: too large, not authorised, corrupt. */
export function isRefusal(error: unknown): boolean {
  return typeof property(error, "type") === "string" && kafkaTrouble(error) === "final";
}

function property(error: unknown, name: string): unknown {
  return typeof error === "object" && error !== null ? Reflect.get(error, name) : undefined;
}
