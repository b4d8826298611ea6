/** From a record to its verdict. No network, no clock: the same record always gets the same verdict. */
import type { Criterion, Lab } from "../lab.ts";
import type { RunRecord } from "../record/record.ts";
import { type Evidence, readEvidence } from "./evidence.ts";
import { unfitness } from "./host.ts";
import { loadOffered } from "./load.ts";
import { type CriterionVerdict, type Finding, overall, type RunVerdict } from "./verdict.ts";

export function judge(record: RunRecord, lab: Lab): RunVerdict {
  return judgeEvidence(readEvidence(record, lab));
}

export function judgeEvidence(evidence: Evidence): RunVerdict {
  const { record, lab } = evidence;
  const load = verdictOf(loadOffered, evidence);
  const criteria = lab.criteria.map((criterion) =>
    load.verdict === "pass"
      ? verdictOf(criterion, evidence)
      : withoutLoad(criterion, verdictOf(criterion, evidence)),
  );
  const all = [load, ...criteria];
  return {
    lab: record.lab,
    subject: record.subject.name,
    seed: record.seed,
    stack: record.stack.kind,
    verdict: overall(all),
    criteria: all,
  };
}

function verdictOf(criterion: Criterion, evidence: Evidence): CriterionVerdict {
  const { id, claim } = criterion;
  let finding: Finding;
  try {
    finding = criterion.judge(evidence);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    finding = undecided(`the judge could not read this record: ${reason}`);
  }
  if (finding.verdict === "fail" && criterion.timing === true && finding.inexcusable !== true) {
    const unfit = unfitness(evidence.record.host);
    if (unfit !== undefined) {
      const detail = `${finding.detail} This cannot be held against the worker: ${unfit}.`;
      return { id, claim, ...finding, verdict: "unknown", detail };
    }
  }
  return { id, claim, ...finding };
}

/** Nothing is asserted that the run did not exercise: without the load, no criterion can be decided. */
function withoutLoad(criterion: Criterion, verdict: CriterionVerdict): CriterionVerdict {
  const detail = `The load was not offered, so this proves nothing. Seen: ${verdict.detail}`;
  return { ...verdict, id: criterion.id, verdict: "unknown", detail };
}

function undecided(detail: string): Finding {
  return { verdict: "unknown", measured: null, threshold: "-", unit: "-", samples: 0, detail };
}
