/** Whether the load was really offered: the criterion that stands before all others, in every lab. */
import type { Criterion } from "../lab.ts";
import { schedule } from "../load/schedule.ts";
import type { Evidence } from "./evidence.ts";
import type { Finding } from "./verdict.ts";

const minAchieved = 0.95;
/** A message sent this long after its phase ended was not part of the load it was meant for. */
const graceMs = 250;

export const loadOffered: Criterion = {
  id: "load-offered",
  claim: "The load was offered at its rate in every phase, and every message is accounted for on the broker.",
  judge: judgeLoad,
};

function judgeLoad(evidence: Evidence): Finding {
  const { record, scenario } = evidence;
  const { ledger } = record;
  const untilMs = ledger.stoppedMs === null ? Number.POSITIVE_INFINITY : ledger.stoppedMs - graceMs;
  let worst = { name: "", share: 1, sent: 0, count: 0 };
  for (const phase of schedule(scenario.load.phases)) {
    let sent = 0;
    let count = 0;
    for (let i = phase.first; i < phase.first + phase.count; i += 1) {
      const at = ledger.sentMs[i] ?? -1;
      // The harness ended the load itself: what was due after that was never to be sent.
      if ((evidence.dueMs[i] ?? 0) > untilMs) continue;
      count += 1;
      if (at >= 0 && at <= phase.endMs + graceMs && evidence.acknowledged(i)) sent += 1;
    }
    const share = count === 0 ? 1 : sent / count;
    if (count > 0 && share <= worst.share) worst = { name: phase.name, share, sent, count };
  }
  const measured = Math.floor(worst.share * 1000) / 10;
  const acknowledged = ledger.offset.filter((offset) => offset >= 0).length;
  const onBroker = ledger.endOffsets.reduce((sum, offset) => sum + offset, 0);
  const base = {
    measured,
    threshold: `>= ${minAchieved * 100}`,
    unit: "% of offered",
    samples: ledger.planned,
  };
  if (worst.share < minAchieved) {
    return {
      ...base,
      verdict: "unknown",
      detail:
        `In phase "${worst.name}" ${worst.sent} of ${worst.count} messages were sent in time and acknowledged. ` +
        `${ledger.errors[0] === undefined ? "The generator fell behind" : `First error: ${ledger.errors[0]}`}.`,
      lookAt: "Close other programs, or use --profile quick.",
    };
  }
  if (onBroker !== acknowledged && ledger.errors.length === 0) {
    return {
      ...base,
      verdict: "unknown",
      detail: `The broker holds ${onBroker} messages, the ledger ${acknowledged}: somebody else wrote to the topic, or the record lacks a part.`,
    };
  }
  return {
    ...base,
    verdict: "pass",
    detail:
      `${acknowledged} messages sent and acknowledged; lowest share in phase "${worst.name}".` +
      (ledger.stoppedMs === null
        ? ""
        : ` The load was ended at ${Math.round(ledger.stoppedMs)} ms, when the worker had ended by itself.`),
  };
}
