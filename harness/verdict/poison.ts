/** Judges of malformed messages. */
import type { Criterion } from "../lab.ts";
import { describe, isUnread, seconds } from "./delivery.ts";

const shown = 5;

/** @param tableName the table of rejected messages */
export function poisonContained(tableName: string): Criterion {
  return {
    id: "poison-contained",
    claim:
      "Each malformed message is kept once, with its place, its bytes and a reason, and none ended the worker.",
    judge(evidence) {
      const table = evidence.table(tableName);
      const asSent = new Set(table.rows.filter((row) => row.asSent).map((row) => row.message));
      const wrong: string[] = [];
      let malformed = 0;
      let unseen = 0;
      for (let i = 0; i < evidence.planned; i += 1) {
        if (evidence.place(i).malformation === undefined || !evidence.acknowledged(i)) continue;
        const count = table.count[i] ?? 0;
        // One the worker never came to says nothing about how it treats poison; `lossless` counts it.
        if (count === 0 && isUnread(evidence, i)) continue;
        malformed += 1;
        if (count === 1 && asSent.has(i)) continue;
        if (count === 0) unseen += 1;
        wrong.push(
          `${describe(evidence, i)} is ${count === 0 ? `not in ${tableName}` : count === 1 ? `in ${tableName} with other content` : `in ${tableName} ${count} times`}`,
        );
      }
      const healthy = table.foreign.length;
      const exits = evidence.record.workers.filter(({ exit }) => exit !== null && !exit.planned);
      const base = {
        measured: wrong.length + healthy + exits.length,
        threshold: "= 0",
        unit: "messages not contained, or exits",
        samples: malformed,
      };
      if (exits.length > 0 || wrong.length > 0 || healthy > 0) {
        const died = exits.map(
          ({ id, exit }) =>
            `worker ${id} ended by itself at ${seconds(exit?.atMs ?? 0)} with ${exit?.signal ?? `code ${exit?.code}`}: ${lastLine(exit?.tail ?? "")}`,
        );
        return {
          ...base,
          verdict: "fail",
          detail:
            `${exits.length} exits of a worker that nobody ended; of ${malformed} malformed messages ${unseen} are not in ${tableName} ` +
            `and ${wrong.length - unseen} are there wrongly; ${healthy} rows of it are no malformed message.`,
          offending: [...died, ...wrong.slice(0, shown)],
          expected: "one row per malformed message: topic, partition, offset, key, original bytes, reason",
          lookAt: "what the worker does when a message cannot be parsed",
        };
      }
      if (malformed === 0) {
        return { ...base, verdict: "unknown", detail: "No malformed message was delivered to the worker." };
      }
      return {
        ...base,
        verdict: "pass",
        detail: `${malformed} malformed messages, each kept once with its bytes; the worker never ended by itself.`,
      };
    },
  };
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1)?.trim() ?? "";
}
