/** The operator's steps of a record, made easy to ask. */
import type { OperationStep } from "../../harness/record/record.ts";
import type { Evidence } from "../../harness/verdict/evidence.ts";

/** A row of the look "letters". */
export interface LetterRow {
  readonly id: string;
  /** Index of the message it came from; -1 for none of ours. */
  readonly message: number;
  readonly topic: string;
  readonly class: string;
  readonly state: string;
  readonly replayCount: number;
  /** Epoch ms, by the database's clock. */
  readonly firstFailedMs: number;
  /** null for no value, and after a purge. */
  readonly bytes: number | null;
}

/** A row of the look "audit". */
export interface AuditRow {
  readonly id: string;
  readonly operation: string;
  readonly actor: string;
  readonly reason: string;
  readonly letters: readonly string[];
}

/** Undefined for a step that the scenario does not have, or that was not reached. */
export const stepOf = (evidence: Evidence, name: string): OperationStep | undefined =>
  evidence.record.operation?.find((one) => one.name === name);

/** What a step printed as JSON; undefined when it is none. */
export function printed<Value>(step: OperationStep | undefined): Partial<Value> | undefined {
  try {
    const value: unknown = JSON.parse(step?.stdout ?? "");
    return typeof value === "object" && value !== null ? (value as Partial<Value>) : undefined;
  } catch {
    return undefined;
  }
}

export function lettersAt(evidence: Evidence, step: OperationStep | undefined): LetterRow[] | undefined {
  const indexOf = originIndex(evidence);
  return step?.looks.letters?.map((row) => {
    const [id, topic, partition, offset, className, state, replays, firstFailedMs, bytes] = row;
    return {
      id: id ?? "",
      message: topic === evidence.record.topic.name ? (indexOf.get(`${partition}/${offset}`) ?? -1) : -1,
      topic: topic ?? "",
      class: className ?? "",
      state: state ?? "",
      replayCount: Number(replays),
      firstFailedMs: Number(firstFailedMs),
      bytes: bytes === null || bytes === undefined ? null : Number(bytes),
    };
  });
}

/** What was stored for one event. */
export interface Effects {
  readonly count: number;
  /** "account amount", of each that differs; undefined in a record of a run that did not look at it. */
  readonly payments: string | undefined;
}

/** By event id. */
export function effectsAt(step: OperationStep | undefined): ReadonlyMap<string, Effects> | undefined {
  return (
    step?.looks.effects &&
    new Map(
      step.looks.effects.map(([id, count, payments]) => [
        id ?? "",
        { count: Number(count), payments: payments ?? undefined },
      ]),
    )
  );
}

export function auditAt(step: OperationStep | undefined): AuditRow[] | undefined {
  return step?.looks.audit?.map(([id, operation, actor, reason, letters]) => ({
    id: id ?? "",
    operation: operation ?? "",
    actor: actor ?? "",
    reason: reason ?? "",
    letters: (letters ?? "").split(" ").filter((one) => one !== ""),
  }));
}

/** The last step in which this look was taken. */
export const lastWith = (evidence: Evidence, look: string): OperationStep | undefined =>
  evidence.record.operation?.findLast(({ looks }) => looks[look] !== undefined);

const originIndexes = new WeakMap<Evidence, ReadonlyMap<string, number>>();

function originIndex(evidence: Evidence): ReadonlyMap<string, number> {
  const known = originIndexes.get(evidence);
  if (known !== undefined) return known;
  const { partition, offset } = evidence.record.ledger;
  const index = new Map(offset.map((one, i) => [`${partition[i]}/${one}`, i]));
  originIndexes.set(evidence, index);
  return index;
}
