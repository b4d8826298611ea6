/** From a record to its verdict. No network, no clock: the same record always gets the same verdict. */
import { type Drill, type DrillEvidence, numberOf } from "../drill.ts";
import type { Lab } from "../lab.ts";
import type { AnyRecord, DrillRecord, RunRecord } from "../record/record.ts";
import { latenessOfBroker } from "./broker.ts";
import { type Evidence, readEvidence } from "./evidence.ts";
import { unfitness } from "./host.ts";
import { loadOffered } from "./load.ts";
import { type CriterionVerdict, type Finding, overall, type RunVerdict } from "./verdict.ts";

export function judge(record: RunRecord, lab: Lab): RunVerdict {
  return judgeEvidence(readEvidence(record, lab));
}

export function judgeEvidence(evidence: Evidence): RunVerdict {
  const { record, lab } = evidence;
  const arms = record.arms?.flatMap(({ name }) => evidence.arm(name) ?? []) ?? [];
  const unfit = [evidence, ...arms]
    .map((one) => unfitness(one.record.host) ?? latenessOfBroker(one))
    .find((why) => why !== undefined);
  return verdictOn(record, judgeAll([loadOffered, ...lab.criteria], evidence, unfit));
}

/** @throws ZodError when the drill has changed since the run, and what was seen has another shape now */
export function readDrillEvidence<Seen>(record: DrillRecord, drill: Drill<Seen>): DrillEvidence<Seen> {
  return {
    record,
    seen: drill.seen.parse(record.drill),
    parameter: (name) => numberOf(record.parameters, name),
  };
}

export function judgeDrill<Seen>(evidence: DrillEvidence<Seen>, drill: Drill<Seen>): RunVerdict {
  const { record } = evidence;
  return verdictOn(record, judgeAll(drill.criteria, evidence, unfitness(record.host)));
}

/**
 * Without the load, where there is one, nothing else is decided.
 * @param unfit why the run's times cannot be held against the worker, if they cannot
 */
function judgeAll<E>(
  criteria: readonly Judged<E>[],
  evidence: E,
  unfit: string | undefined,
): CriterionVerdict[] {
  const verdicts = criteria.map((criterion) => verdictOf(criterion, evidence, unfit));
  const load = verdicts.find(({ id }) => id === loadOffered.id);
  if (load === undefined || load.verdict === "pass") return verdicts;
  return verdicts.map((one) => (one === load ? one : withoutLoad(one)));
}

/** What judging needs of a criterion, whatever its evidence. */
interface Judged<E> {
  readonly id: string;
  readonly claim: string;
  readonly timing?: boolean;
  judge(evidence: E): Finding;
}

function verdictOn(record: AnyRecord, all: readonly CriterionVerdict[]): RunVerdict {
  return {
    lab: record.lab,
    subject: record.subject.name,
    seed: record.seed,
    stack: record.stack.kind,
    verdict: overall(all),
    criteria: all,
  };
}

function verdictOf<E>(criterion: Judged<E>, evidence: E, unfit: string | undefined): CriterionVerdict {
  const { id, claim } = criterion;
  let finding: Finding;
  try {
    finding = criterion.judge(evidence);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    finding = undecided(`the judge could not read this record: ${reason}`);
  }
  const isExcused = criterion.timing === true && finding.inexcusable !== true && unfit !== undefined;
  if (finding.verdict === "fail" && isExcused) {
    const detail = `${finding.detail} This cannot be held against the worker: ${unfit}.`;
    return { id, claim, ...finding, verdict: "unknown", detail };
  }
  return { id, claim, ...finding };
}

/** Nothing is asserted that the run did not exercise: without the load, no criterion can be decided. */
function withoutLoad(verdict: CriterionVerdict): CriterionVerdict {
  const detail = `The load was not offered, so this proves nothing. Seen: ${verdict.detail}`;
  return { ...verdict, verdict: "unknown", detail };
}

function undecided(detail: string): Finding {
  return { verdict: "unknown", measured: null, threshold: "-", unit: "-", samples: 0, detail };
}
