/** What a judge says. Three verdicts: a run that could not decide is `unknown`, never `pass`. */
export type Verdict = "pass" | "fail" | "unknown";

/** The judgement of one criterion, with everything a reader needs to believe or doubt it. */
export interface Finding {
  readonly verdict: Verdict;
  /** In `unit`; null when nothing could be measured. */
  readonly measured: number | null;
  /** Such as "<= 1000". */
  readonly threshold: string;
  readonly unit: string;
  /** How many observations the measured number rests on. */
  readonly samples: number;
  /** One or two sentences in words. */
  readonly detail: string;
  /** A failure by so much that no host explains it: it stands on an unfit one too. */
  readonly inexcusable?: boolean;
  /** On a failure: the first offending items, what was expected instead, and where to look next. */
  readonly offending?: readonly string[];
  readonly expected?: string;
  readonly lookAt?: string;
}

export interface CriterionVerdict extends Finding {
  readonly id: string;
  /** The promise in words, as the lab states it. */
  readonly claim: string;
}

export interface RunVerdict {
  readonly lab: string;
  readonly subject: string;
  readonly seed: number;
  readonly stack: string;
  /** Pass when every criterion passes, fail when any fails, else unknown. */
  readonly verdict: Verdict;
  readonly criteria: readonly CriterionVerdict[];
}

/** Pass when all pass, fail when any fails, else unknown. */
export function overall(criteria: readonly { readonly verdict: Verdict }[]): Verdict {
  if (criteria.some((one) => one.verdict === "fail")) return "fail";
  if (criteria.length > 0 && criteria.every((one) => one.verdict === "pass")) return "pass";
  return "unknown";
}
