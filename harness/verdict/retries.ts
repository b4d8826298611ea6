/**
 * Retries as the gateway saw them: the calls of each event in order, the waits between them, and which of them a fault
 * had a hand in. Pure, and made once for each record.
 */
import type { RetrySettings } from "../lab.ts";
import type { Fault } from "../record/record.ts";
import type { Evidence } from "./evidence.ts";
import { gatewayOf } from "./flow.ts";

export interface Call {
  readonly arrivedMs: number;
  /** The answer, or when the caller gave up; NaN for a call that was still open when the run ended. */
  readonly endedMs: number;
  /** It may have ended so much earlier: the gateway was held up, and noticed late. */
  readonly endLateMs: number;
  /** 0 without an answer. */
  readonly status: number;
}

/** What the gateway saw of one event. */
export interface Chain {
  readonly message: number;
  readonly calls: readonly Call[];
  /**
   * Calls of which the worker could not keep what came of them, because it died or its Redis did; they may rightly be
   * made again, at once and beyond the number of attempts.
   */
  readonly unsettled: number;
  /** The event was delivered again after a kill, so that a call may rightly come out of turn. */
  readonly redelivered: boolean;
}

/** From the end of call `attempt` to the arrival of the next one. */
export interface Wait {
  readonly message: number;
  /** 1: the wait after the first call. */
  readonly attempt: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly waitMs: number;
  /** It may have been so much longer; see `Call.endLateMs`. */
  readonly longerByMs: number;
  /** What the policy says without jitter, and the least it allows. */
  readonly idealMs: number;
  readonly leastMs: number;
  /** It reaches into a fault window, so it may rightly be longer; never shorter. */
  readonly disturbed: boolean;
}

export interface Retries {
  readonly policy: RetrySettings;
  readonly chains: readonly Chain[];
  /** Of chains in whose course no fault had a hand. */
  readonly waits: readonly Wait[];
  chain(message: number): Chain | undefined;
}

/** What came of a retry this shortly before a death may not have been kept. */
const keptAfterMs = 300;
/** A call that a worker had begun when it was killed arrives this much later at most. */
const underWayMs = 50;

const known = new WeakMap<object, Retries>();

/** @throws RangeError when the record has no gateway or the scenario no retry policy */
export function retriesOf(evidence: Evidence): Retries {
  const before = known.get(evidence.record);
  if (before !== undefined) return before;
  const policy = evidence.scenario.worker.retry;
  if (policy === undefined) throw new RangeError("the scenario has no retry policy");
  const byMessage = new Map<number, Chain>();
  for (const [message, calls] of callsByMessage(evidence)) {
    byMessage.set(message, {
      message,
      calls,
      unsettled: calls.filter((call, i) => isUnsettled(call, i, evidence.record.faults)).length,
      redelivered: isRedelivered(message, calls[0], evidence),
    });
  }
  const chains = [...byMessage.values()];
  const retries: Retries = {
    policy,
    chains,
    waits: chains.filter(isUndisturbedChain).flatMap((chain) => waitsOf(chain, policy, evidence)),
    chain: (message) => byMessage.get(message),
  };
  known.set(evidence.record, retries);
  return retries;
}

/** Whether its calls can be counted and timed one by one. */
export const isUndisturbedChain = ({ unsettled, redelivered }: Chain): boolean =>
  unsettled === 0 && !redelivered;

/** Clocks of two processes, in whole milliseconds. */
const clockMs = 5;

/** Shorter than the policy allows, whatever the gateway may have noticed late. */
export const isTooShort = ({ waitMs, longerByMs, leastMs }: Wait): boolean =>
  waitMs + longerByMs < leastMs - clockMs;

/** min(cap, base x factor^(attempt - 1)), in ms. */
export function idealWaitMs({ baseMs, factor, capMs }: RetrySettings, attempt: number): number {
  return Math.min(capMs, baseMs * factor ** (attempt - 1));
}

/** Failed in a way that is worth another try: told to come later, or not answered. */
export const isRetryable = ({ status }: Call): boolean => status === 503 || status === 0;

function callsByMessage(evidence: Evidence): Map<number, Call[]> {
  const { attempts } = gatewayOf(evidence);
  const calls = new Map<number, Call[]>();
  for (const [i, message] of attempts.message.entries()) {
    if (message < 0) continue;
    const own = calls.get(message) ?? [];
    own.push({
      arrivedMs: attempts.arrivedMs[i] ?? 0,
      endedMs: attempts.answeredMs[i] ?? attempts.leftMs?.[i] ?? Number.NaN,
      endLateMs: attempts.endLateMs?.[i] ?? 0,
      status: attempts.status[i] ?? 0,
    });
    calls.set(message, own);
  }
  return calls;
}

function isUnsettled({ arrivedMs, endedMs }: Call, index: number, faults: readonly Fault[]): boolean {
  return faults.some(({ kind, startMs, healMs }) => {
    // What came of a first call waits in the worker, and goes with it: then the event is delivered again, see below.
    if (index === 0 || (kind !== "kill-worker" && kind !== "restart")) return false;
    // A store that is dead hands out nothing: until it is back, what is called for had been handed out before.
    const lastMs = kind === "restart" ? healMs : startMs + underWayMs;
    return arrivedMs < lastMs && !(endedMs < startMs - keptAfterMs);
  });
}

function isRedelivered(message: number, first: Call | undefined, { record }: Evidence): boolean {
  const { offset, partition } = record.ledger;
  return record.faults.some(({ kind, healMs, committedOffsets = [] }) => {
    // Until its successor starts, a call is of the one that dies: a signal takes a moment to arrive.
    if (kind !== "kill-worker" || first === undefined || first.arrivedMs > healMs) return false;
    return (offset[message] ?? -1) >= Math.max(0, committedOffsets[partition[message] ?? 0] ?? 0);
  });
}

function waitsOf({ message, calls }: Chain, policy: RetrySettings, { record }: Evidence): Wait[] {
  return calls.slice(1).map((next, i) => {
    const fromMs = calls[i]?.endedMs ?? Number.NaN;
    const idealMs = idealWaitMs(policy, i + 1);
    return {
      message,
      attempt: i + 1,
      fromMs,
      toMs: next.arrivedMs,
      waitMs: next.arrivedMs - fromMs,
      longerByMs: calls[i]?.endLateMs ?? 0,
      idealMs,
      leastMs: idealMs * (1 - policy.jitter),
      disturbed: record.faults.some(
        ({ startMs, clearMs }) => fromMs <= clearMs && Math.max(next.arrivedMs, fromMs + idealMs) >= startMs,
      ),
    };
  });
}
