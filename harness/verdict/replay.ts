/** Judge of a replay: a second group reads the whole topic, and nothing changes. */
import type { Criterion } from "../lab.ts";
import type { RunRecord, TableRecord } from "../record/record.ts";
import { balancesAt } from "./budgets.ts";
import { describe } from "./delivery.ts";
import type { Evidence } from "./evidence.ts";
import { meanMessageBytes } from "./flow.ts";
import type { Finding } from "./verdict.ts";

const shown = 5;
/** Of the bytes of all messages: what a group that read them was sent at the least. */
const leastShareSent = 0.5;

/** @param watch name of the watched query with the balances */
export function replayHarmless(watch: string): Criterion {
  return {
    id: "replay-harmless",
    needs: ["replay"],
    claim: "A second group that reads the whole topic again changes no row and no balance.",
    judge(evidence): Finding {
      const { replay, tables } = evidence.record;
      const base = { threshold: "= 0", unit: "rows or balances changed", samples: replay?.messages ?? 0 };
      if (replay === undefined) {
        return {
          ...base,
          measured: null,
          verdict: "unknown",
          detail:
            "There was no replay: the run had ended, or the first group had not come to the end of the topic.",
        };
      }
      const changes = tables.flatMap((before) => {
        const after = replay.tables.find(({ name }) => name === before.name);
        return after === undefined ? [] : differences(evidence, before, after);
      });
      const balances = changedBalances(evidence, watch, replay.startMs);
      const measured = changes.reduce((sum, { rows }) => sum + rows, 0) + balances.length;
      if (measured > 0) {
        return {
          ...base,
          measured,
          verdict: "fail",
          detail: `The replay of ${replay.messages} messages changed ${measured - balances.length} rows and ${balances.length} balances.`,
          offending: [...changes.slice(0, shown).map(({ text }) => text), ...balances.slice(0, shown)],
          expected: "the same rows and the same balances as before",
          lookAt: "how long a key is remembered: longer than anybody can send the event again",
        };
      }
      if (!replay.drained) {
        return {
          ...base,
          measured,
          verdict: "unknown",
          detail: `In ${Math.round(replay.endMs - replay.startMs)} ms the second group had not committed all ${replay.messages} messages.`,
          lookAt: "whether the worker's second start works, and how fast it skips what it has done",
        };
      }
      if (!wasSent(evidence, replay)) {
        return {
          ...base,
          measured,
          verdict: "unknown",
          detail: `The second group committed all ${replay.messages} messages, and was not sent as many bytes: it did not read them.`,
          lookAt: "where a group without offsets begins: at the earliest, as the contract says",
        };
      }
      return {
        ...base,
        measured,
        verdict: "pass",
        detail: `${replay.messages} messages were read again in ${((replay.endMs - replay.startMs) / 1000).toFixed(1)} s; every row and every balance is as before.`,
      };
    },
  };
}

/** Whether what went to the workers meanwhile can be the topic; true where they reach Kafka without a proxy. */
function wasSent(evidence: Evidence, { messages, startMs }: NonNullable<RunRecord["replay"]>): boolean {
  const looks = evidence.record.linkSamples.filter(({ service }) => service === "kafka");
  const before = looks.findLast(({ atMs }) => atMs <= startMs);
  const after = looks.at(-1);
  if (before === undefined || after === undefined) return true;
  const sent = after.toWorkerBytes - before.toWorkerBytes;
  return sent >= leastShareSent * messages * meanMessageBytes(evidence);
}

interface Difference {
  readonly rows: number;
  readonly text: string;
}

function differences(evidence: Evidence, before: TableRecord, after: TableRecord): Difference[] {
  const [had, has] = [rowCounts(before), rowCounts(after)];
  return [...new Set([...had.keys(), ...has.keys()])].flatMap((row) => {
    const by = (has.get(row) ?? 0) - (had.get(row) ?? 0);
    if (by === 0) return [];
    const what = typeof row === "number" ? describe(evidence, row) : row;
    return [
      {
        rows: Math.abs(by),
        text: `${before.name}: ${by > 0 ? "" : "-"}${Math.abs(by)} row${Math.abs(by) === 1 ? "" : "s"} ${by > 0 ? "more" : "less"} of ${what}`,
      },
    ];
  });
}

/** How often each row occurs: by message for rows as sent, by content for others. */
function rowCounts(table: TableRecord): Map<number | string, number> {
  const counts = new Map<number | string, number>();
  for (const row of [...table.asSent, ...table.others.map(({ values }) => values.join(", "))]) {
    counts.set(row, (counts.get(row) ?? 0) + 1);
  }
  return counts;
}

function changedBalances(evidence: Evidence, watch: string, startMs: number): string[] {
  const before = balancesAt(evidence, watch, startMs);
  return [...balancesAt(evidence, watch, Number.POSITIVE_INFINITY)].flatMap(([account, { spent }]) => {
    const was = before.get(account)?.spent;
    return was === spent
      ? []
      : [`${account} had spent ${was ?? "nothing"} before the replay and ${spent} after it`];
  });
}
