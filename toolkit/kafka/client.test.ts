import { type LogEntry, logLevel } from "kafkajs";
import { expect, test } from "vitest";
import { quietLog } from "./client.ts";

function entry(message: string, extra: Record<string, unknown> = {}): LogEntry {
  const log = { timestamp: "", message, logger: "kafkajs", ...extra };
  return { namespace: "Connection", level: logLevel.ERROR, label: "ERROR", log };
}

test("a broken connection is told once, the ordinary life of a group not at all", () => {
  const lines: string[] = [];
  const log = quietLog((line) => lines.push(line));
  log(entry("Connection error: connect ECONNREFUSED 127.0.0.1:9092"));
  log(entry("Connection error: connect ECONNREFUSED 127.0.0.1:9092"));
  log(
    entry("Response Heartbeat(key: 12, version: 3)", {
      error: "The group is rebalancing, so a rejoin is needed",
    }),
  );
  log(
    entry("Response GroupCoordinator(key: 10, version: 2)", {
      error: "The group coordinator is not available",
    }),
  );
  log(entry("Response OffsetCommit(key: 8, version: 5)", { error: "Not authorized to access group" }));
  expect(lines).toEqual([
    "kafka: Connection error: connect ECONNREFUSED 127.0.0.1:9092",
    "kafka: Response OffsetCommit(key: 8, version: 5): Not authorized to access group",
  ]);
});
