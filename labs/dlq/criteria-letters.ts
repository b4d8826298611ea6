/** Judges of what the load led to: each poison message a letter, complete, and nobody held up by it. */

import type { Criterion } from "../../harness/lab.ts";
import { quantile } from "../../harness/quantile.ts";
import { describe, isUnread, seconds } from "../../harness/verdict/delivery.ts";
import type { Evidence } from "../../harness/verdict/evidence.ts";
import { timerAllowanceMs } from "../../harness/verdict/host.ts";
import { areStandstills, type Delay, standstillWords } from "../../harness/verdict/standstill.ts";
import { classOf } from "./criteria-poison.ts";

const shown = 5;
const minHealthy = 200;
/** Below this, twice of something small is noise: one pause of a garbage collector. */
const negligibleMs = 200;

export const eachPoisonOnce: Criterion = {
  id: "each-poison-once",
  claim:
    "Every poison message is in dead_letters exactly once and has no effect beside it, and nothing healthy is there.",
  judge(evidence) {
    const { count, foreign } = evidence.table("dead_letters");
    const effects = evidence.table("payments").count;
    const accepted = acceptedInTheLoad(evidence);
    const wrong: string[] = [];
    let poison = 0;
    for (let i = 0; i < evidence.planned; i += 1) {
      const is = classOf(evidence.place(i));
      if (is === undefined || !evidence.acknowledged(i)) continue;
      const letters = count[i] ?? 0;
      // One the worker never came to says nothing about how it treats poison; `lossless` counts it.
      if (letters === 0 && isUnread(evidence, i)) continue;
      poison += 1;
      if (letters !== 1) {
        wrong.push(
          `${describe(evidence, i)} (${is}) has ${letters === 0 ? "no letter" : `${letters} letters`}`,
        );
      } else if ((effects[i] ?? 0) > 0 && !accepted.has(i)) {
        wrong.push(`${describe(evidence, i)} (${is}) has an effect, and the gateway never accepted it`);
      }
    }
    const base = {
      measured: wrong.length + foreign.length,
      threshold: "= 0",
      unit: "poison messages that are not one letter alone, or letters of nothing poisonous",
      samples: poison,
    };
    if (poison === 0) return { ...base, verdict: "unknown", detail: "The worker came to no poison message." };
    if (base.measured === 0) {
      return {
        ...base,
        verdict: "pass",
        detail: `${poison} poison messages, ${poison} letters: ${byClass(evidence)}.`,
      };
    }
    return {
      ...base,
      verdict: "fail",
      detail: `Of ${poison} poison messages ${wrong.length} have no letter, several, or an effect; ${foreign.length} letters are of healthy messages or of none.`,
      offending: [
        ...wrong.slice(0, shown),
        ...foreign
          .slice(0, shown)
          .map(({ values }) => `a letter of no poison message: ${values.slice(0, 3).join(", ")}`),
      ],
      expected: "one letter for each poison message, however often it is delivered",
      lookAt: "what the worker does with a message that cannot succeed, and what makes its letter unique",
    };
  },
};

/**
 * Messages that the gateway accepted before the operator came. One that is delivered again may get an attempt more than
 * its letter had, and what was accepted may rightly be stored.
 */
function acceptedInTheLoad({ record }: Evidence): ReadonlySet<number> {
  const { message = [], arrivedMs = [], status = [] } = record.gateway?.attempts ?? {};
  return new Set(message.filter((_, i) => status[i] === 200 && (arrivedMs[i] ?? 0) <= record.settled.atMs));
}

function byClass(evidence: Evidence): string {
  const counts = new Map<string, number>();
  for (const { message } of evidence.table("dead_letters").rows) {
    const is = message < 0 ? undefined : classOf(evidence.place(message));
    if (is !== undefined) counts.set(is, (counts.get(is) ?? 0) + 1);
  }
  return [...counts].map(([name, letters]) => `${letters} ${name}`).join(", ");
}

export const forensics: Criterion = {
  id: "forensics",
  claim:
    "Each letter has the message's bytes, headers and place as they were sent, its class and error, and the history of its attempts.",
  judge(evidence) {
    const { rows } = evidence.table("dead_letters");
    const letters = rows.filter(({ message }) => message >= 0);
    const wrong = letters.filter(({ asSent }) => !asSent);
    const base = {
      measured: wrong.length,
      threshold: "= 0",
      unit: "letters that differ from what was sent",
      samples: letters.length,
    };
    if (letters.length === 0)
      return { ...base, verdict: "unknown", detail: "There is no letter of a poison message." };
    if (wrong.length === 0) {
      return {
        ...base,
        verdict: "pass",
        detail: `All of ${letters.length} letters are as their message was sent.`,
      };
    }
    const table = evidence.lab.tables.find(({ name }) => name === "dead_letters");
    return {
      ...base,
      verdict: "fail",
      detail: `${wrong.length} of ${letters.length} letters differ from what was sent.`,
      offending: wrong.slice(0, shown).map(({ message, values }) => {
        const expected = table?.expected(evidence.message(message)) ?? [];
        const at = values.findIndex((value, i) => value !== expected[i]);
        return `${describe(evidence, message)} has ${table?.columns[at]?.name} = ${values[at] ?? "nothing"} instead of ${expected[at] ?? "nothing"}`;
      }),
      expected: "bytes as bytes, and everything that is known of the failure",
      lookAt: "where a value or a header becomes text on its way into the table",
    };
  },
};

/** From when a healthy event was due to its row; one that was never stored is infinitely late. */
function healthyDelays(evidence: Evidence): Delay[] {
  const { committedMs } = evidence.table("payments");
  const warmUpMs = evidence.phase("warm-up")?.endMs ?? 0;
  const delays: Delay[] = [];
  for (let i = 0; i < evidence.planned; i += 1) {
    const due = evidence.dueMs[i] ?? 0;
    if (classOf(evidence.place(i)) !== undefined || !evidence.acknowledged(i) || due < warmUpMs) continue;
    const at = committedMs[i] ?? Number.NaN;
    delays.push({ dueMs: due, cameMs: Number.isNaN(at) ? Number.POSITIVE_INFINITY : at });
  }
  return delays;
}

/** ms, sorted. */
export const healthyLatencies = (evidence: Evidence): Float64Array =>
  Float64Array.from(healthyDelays(evidence), ({ dueMs, cameMs }) => cameMs - dueMs).sort();

/** Needs the parameter "headOfLineP99Ms", the phase "warm-up" and the arm "without poison". */
export const noHeadOfLine: Criterion = {
  id: "no-head-of-line",
  claim:
    "Beside poison, 99 of 100 healthy events are stored within a second, and within twice what it takes without poison.",
  timing: true,
  judge(evidence) {
    const allowanceMs = timerAllowanceMs(evidence.record.host);
    const boundMs = evidence.parameter("headOfLineP99Ms") + allowanceMs;
    const latencies = healthyLatencies(evidence);
    const p99 = quantile(latencies, 0.99);
    const arm = evidence.arm("without poison");
    const without = arm === undefined ? Number.NaN : quantile(healthyLatencies(arm), 0.99);
    const twiceMs = Math.max(2 * without, negligibleMs) + allowanceMs;
    const limitMs = Number.isFinite(twiceMs) ? Math.round(Math.min(boundMs, twiceMs)) : boundMs;
    const base = {
      measured: Number.isFinite(p99) ? Math.round(p99 * 10) / 10 : null,
      threshold: `<= ${limitMs}`,
      unit: "ms (p99)",
      samples: latencies.length,
    };
    if (evidence.table("payments").committedMs.every(Number.isNaN)) {
      return {
        ...base,
        verdict: "unknown",
        detail: "No commit times: nothing was stored, or the database does not keep them.",
      };
    }
    if (latencies.length < minHealthy) {
      return {
        ...base,
        verdict: "unknown",
        detail: `Only ${latencies.length} healthy events were due (at least ${minHealthy}).`,
      };
    }
    const told = `p99 of healthy events ${Number.isFinite(p99) ? `${p99.toFixed(1)} ms` : "unbounded: more than 1 of 100 were never stored"} beside poison`;
    const compared = Number.isFinite(without) ? `, ${without.toFixed(1)} ms without` : "";
    if (!(p99 <= limitMs)) {
      const late = healthyDelays(evidence).filter(({ dueMs, cameMs }) => cameMs - dueMs > limitMs);
      if (areStandstills(late)) {
        return { ...base, verdict: "unknown", detail: `${told}${compared}. ${standstillWords}` };
      }
      return {
        ...base,
        verdict: "fail",
        // By so much that no host explains it.
        inexcusable: !(p99 <= 4 * boundMs),
        detail: `${told}${compared}.`,
        offending: [`${seconds(Number.isFinite(p99) ? p99 : 0)} for one event of a hundred`],
        expected: `p99 within ${limitMs} ms: a message that is tried again holds up nobody but itself`,
        lookAt: "what waits while a failing message waits for its next attempt",
      };
    }
    if (!Number.isFinite(without)) {
      return {
        ...base,
        verdict: "unknown",
        detail: `${told}; there is no run without poison to compare it with.`,
      };
    }
    return {
      ...base,
      verdict: "pass",
      detail: `${told}${compared}; below ${negligibleMs} ms nothing is held against it.`,
    };
  },
};
