/** Judges of what an operator can do: see the letters, send them again, throw them away, and answer for it. */
import type { Criterion } from "../../harness/lab.ts";
import type { OperationStep } from "../../harness/record/record.ts";
import type { Evidence } from "../../harness/verdict/evidence.ts";
import type { Finding } from "../../harness/verdict/verdict.ts";
import {
  type AuditRow,
  auditAt,
  type LetterRow,
  lastWith,
  lettersAt,
  printed,
  stepOf,
} from "./criteria-steps.ts";
import { operatorName, purgeReason } from "./operation.ts";

const shown = 5;
/**
 * SQLSTATEs of what is no refusal: a connection or server that is gone (08, 57), a rollback that another try would not
 * meet (40), no room (53), no such table, column or statement (42). Nor is what never reached it (ECONNREFUSED and its
 * kin). A trigger may raise any other, its own too.
 */
const mishaps = /^(08...|40...|53...|57...|42601|42P01|42703|E[A-Z]+)$/;
const ageMs = 3_000;

/** Undefined when nobody operated: then nothing can be said. */
const notOperated = (threshold: string, unit: string): Finding => ({
  verdict: "unknown",
  measured: null,
  threshold,
  unit,
  samples: 0,
  detail: "The step was not reached, or is not in this scenario.",
});

/** A finding about things that are all to be right. */
function allRight(
  wrong: readonly string[],
  samples: number,
  words: {
    unit: string;
    pass: string;
    fail: string;
    expected: string;
    lookAt: string;
    unknown?: string | undefined;
  },
): Finding {
  const base = { measured: wrong.length, threshold: "= 0", unit: words.unit, samples };
  if (wrong.length > 0) {
    const { fail, expected, lookAt } = words;
    return { ...base, verdict: "fail", detail: fail, offending: wrong.slice(0, shown), expected, lookAt };
  }
  return words.unknown === undefined
    ? { ...base, verdict: "pass", detail: words.pass }
    : { ...base, verdict: "unknown", detail: words.unknown };
}

interface Listed {
  readonly total: number;
  readonly letters: readonly { readonly id: string; readonly class: string; readonly state: string }[];
}

export const inspect: Criterion = {
  id: "inspect",
  needs: ["operation"],
  claim: "The operator can list the letters, filter them by class, topic and age, and see the bytes of one.",
  judge(evidence) {
    const unit = "answers that differ from the tables";
    const list = stepOf(evidence, "list");
    const letters = lettersAt(evidence, list);
    const filtered = stepOf(evidence, "list of a class and a topic");
    const aged = stepOf(evidence, "list by age");
    const show = stepOf(evidence, "show");
    if (letters === undefined || filtered === undefined || aged === undefined || show === undefined) {
      return notOperated("= 0", unit);
    }
    const wrong = [
      ...differences(evidence, list, letters, letters),
      ...differences(
        evidence,
        filtered,
        letters.filter((one) => one.class === "refused"),
        letters,
      ),
      ...ageDifferences(evidence, aged, letters),
      ...shownWrongly(evidence, show, letters),
    ];
    return allRight(wrong, 4, {
      unit,
      pass: `The tool listed all ${letters.length} letters, those of one class and topic and those of an age, and showed one byte for byte.`,
      fail: `${wrong.length} answers of the operator's tool differ from the tables.`,
      expected: "counts, ids and bytes as they are in dead_letters",
      lookAt: "the tool's queries, and how it prints bytes with --json",
      unknown: letters.length === 0 ? "There was no letter to look at." : undefined,
    });
  },
};

function differences(
  evidence: Evidence,
  step: OperationStep | undefined,
  expected: readonly LetterRow[],
  all: readonly LetterRow[],
): string[] {
  const got = printed<Listed>(step);
  if (got?.letters === undefined) return [`"${step?.name}" printed no list: ${said(step)}`];
  const ids = got.letters.map(({ id }) => id);
  if (
    got.total === expected.length &&
    sameIds(
      ids,
      expected.map(({ id }) => id),
    )
  )
    return [];
  const ofTopic = all.filter(({ topic }) => topic === evidence.record.topic.name).length;
  return [
    `"${step?.name}" found ${got.total}, listed ${ids.length}; the table has ${expected.length} (${ofTopic} of this topic)`,
  ];
}

/** The moment of the query lies within the step: what is near the limit may be in or out. */
function ageDifferences(evidence: Evidence, step: OperationStep, letters: readonly LetterRow[]): string[] {
  const got = printed<Listed>(step);
  if (got?.letters === undefined) return [`"${step.name}" printed no list: ${said(step)}`];
  const ids = new Set(got.letters.map(({ id }) => id));
  const zero = evidence.record.startedAt + evidence.parameter("databaseClockSkewMs") - ageMs;
  const missing = letters.filter(
    ({ id, firstFailedMs }) => firstFailedMs < zero + step.startMs - 1 && !ids.has(id),
  );
  const young = letters.filter(
    ({ id, firstFailedMs }) => firstFailedMs > zero + step.endMs + 1 && ids.has(id),
  );
  return [
    ...missing.map(({ id }) => `letter ${id} is older than 3 s and is not listed by age`),
    ...young.map(({ id }) => `letter ${id} is younger than 3 s and is listed by age`),
  ];
}

interface Shown {
  readonly id: string;
  readonly value: string | null;
  readonly headers: readonly (readonly [string, string | null])[];
}

function shownWrongly(evidence: Evidence, step: OperationStep, letters: readonly LetterRow[]): string[] {
  const got = printed<Shown>(step);
  const letter = letters.find(({ id }) => id === step.args?.[1]);
  if (got === undefined || letter === undefined || letter.message < 0) {
    return [`"show" printed no letter: ${said(step)}`];
  }
  const message = evidence.message(letter.message);
  const wrong: string[] = [];
  if ((got.value ?? null) !== (message.value()?.toString("base64") ?? null)) {
    wrong.push(`letter ${letter.id} is shown with other bytes than were sent`);
  }
  const trace = got.headers?.find(([name]) => name === "trace")?.[1];
  if (trace !== message.trace?.toString("base64"))
    wrong.push(`letter ${letter.id} is shown with another header`);
  return wrong;
}

export const purgeAudited: Criterion = {
  id: "purge-audited",
  needs: ["operation"],
  claim: "A purge needs an actor and a reason, and who threw what away, and why, can be read back.",
  judge(evidence) {
    const unit = "purges that were not as they must be";
    const asked = ["purge without an actor", "purge without a reason"].map((name) => stepOf(evidence, name));
    const purge = stepOf(evidence, "purge");
    const refusedAt = lettersAt(evidence, asked[1]);
    const letters = lettersAt(evidence, purge);
    const trail = auditAt(purge);
    if (refusedAt === undefined || letters === undefined || trail === undefined)
      return notOperated("= 0", unit);
    const large = letters.filter((one) => one.class === "too-large");
    const entry = trail.find(
      ({ operation, actor, reason }) =>
        operation === "purge" && actor === operatorName && reason === purgeReason,
    );
    const told = printed<{ entries: readonly AuditRow[] }>(stepOf(evidence, "audit"))?.entries;
    const wrong = [
      ...asked.flatMap((step) => (step?.code === 0 ? [`"${step.name}" was not refused`] : [])),
      ...refusedAt
        .filter(({ state }) => state === "purged")
        .map(({ id }) => `letter ${id} was purged by a command without an actor or a reason`),
      ...letters.flatMap(({ id, state, bytes, class: is }) => {
        if (is !== "too-large")
          return state === "purged" ? [`letter ${id} (${is}) was purged, and nobody asked for it`] : [];
        if (state !== "purged") return [`letter ${id} is ${state} after its purge`];
        return bytes === null ? [] : [`letter ${id} is purged and still has ${bytes} bytes`];
      }),
      ...(entry === undefined
        ? [`the audit trail has no purge by ${operatorName} with its reason`]
        : large
            .filter(({ id }) => !entry.letters.includes(id))
            .map(({ id }) => `the audit trail does not say that letter ${id} was purged`)),
      ...(entry !== undefined && told?.some(({ id }) => id === entry.id) !== true
        ? ["`audit` does not tell of the purge"]
        : []),
    ];
    return allRight(wrong, large.length, {
      unit,
      pass: `Without an actor or a reason nothing was purged; then ${large.length} letters were, and the trail says by whom and why.`,
      fail: `${wrong.length} things about the purge are not as they must be.`,
      expected:
        "a refusal without an actor or a reason; an entry in the audit trail in the transaction of the purge",
      lookAt:
        "where the purge checks who asks, and whether it can succeed without its entry in the audit trail",
      unknown: large.length === 0 ? "There was no letter of the class too-large to purge." : undefined,
    });
  },
};

export const auditAppendOnly: Criterion = {
  id: "audit-append-only",
  needs: ["operation"],
  claim: "Every operation is in the audit trail, and the database refuses to change it.",
  judge(evidence) {
    const attempts = (evidence.record.operation ?? []).filter(({ sql }) => sql !== null);
    const trail = auditAt(attempts.at(-1));
    const letters = lettersAt(evidence, lastWith(evidence, "letters"));
    if (trail === undefined || letters === undefined) return notOperated("= 0", "gaps in the audit trail");
    const before = auditAt(stepOf(evidence, "purge")) ?? [];
    const entries = (operation: string, id: string): number =>
      trail.filter((one) => one.operation === operation && one.letters.includes(id)).length;
    const edit = stepOf(evidence, "edit");
    const wrong = [
      ...attempts
        .filter(({ code, sqlState }) => code === 0 || sqlState === null || mishaps.test(sqlState))
        .map(({ name, code, stderr }) =>
          code === 0 ? `the ${name} was carried out` : `the ${name} failed, and not by a rule: ${stderr}`,
        ),
      ...before
        .filter((one) => JSON.stringify(trail.find(({ id }) => id === one.id)) !== JSON.stringify(one))
        .map(({ id }) => `entry ${id} is gone or changed`),
      ...letters
        .filter(({ id, replayCount }) => entries("replay", id) !== replayCount)
        .map(
          ({ id, replayCount }) =>
            `letter ${id} was replayed ${replayCount} times, and the trail has ${entries("replay", id)}`,
        ),
      ...letters
        .filter(({ id, state }) => state === "purged" && entries("purge", id) !== 1)
        .map(({ id }) => `letter ${id} is purged, and the trail does not say so`),
      ...(edit?.code === 0 && entries("edit", edit.args?.[1] ?? "") === 0
        ? ["the edit is not in the trail"]
        : []),
    ];
    const replays = letters.reduce((sum, one) => sum + one.replayCount, 0);
    return allRight(wrong, trail.length, {
      unit: "gaps in the audit trail, or changes to it",
      pass: `${trail.length} entries account for ${replays} replays of single letters and for every edit and purge; ${attempts.length} attempts to change them were refused.`,
      fail: `${wrong.length} operations are not in the audit trail, or could be removed from it.`,
      expected:
        "an entry in the transaction of each operation, and triggers that refuse UPDATE, DELETE and TRUNCATE",
      lookAt: "the rules of the table, and every place that changes a letter's state",
      unknown: trail.length === 0 ? "Nothing was done that could be in the trail." : undefined,
    });
  },
};

function sameIds(a: readonly string[], b: readonly string[]): boolean {
  const set = new Set(a);
  return set.size === b.length && b.every((id) => set.has(id));
}

function said(step: OperationStep | undefined): string {
  if (step === undefined) return "it was not run";
  return `exit code ${step.code ?? "none"}, ${JSON.stringify((step.stderr || step.stdout).trim().slice(-200))}`;
}
