/** One experiment from end to end: run, record, judge, draw. */
import { join } from "node:path";
import type { Lab } from "./lab.ts";
import { writeRecord } from "./record/file.ts";
import type { RunRecord } from "./record/record.ts";
import { writeIndex } from "./report/index-page.ts";
import { writeReport } from "./report/write.ts";
import { type RunOptions, run } from "./run.ts";
import { messageOf } from "./stack/readiness.ts";
import { resolveSubject } from "./subject/resolve.ts";
import { readEvidence } from "./verdict/evidence.ts";
import { judge, judgeEvidence } from "./verdict/judge.ts";
import type { RunVerdict } from "./verdict/verdict.ts";

export interface Outcome {
  readonly verdict: RunVerdict;
  /** The run's folder, and its page. */
  readonly folder: string;
  readonly page: string;
  /** What went wrong while drawing; none of it touches the verdict. */
  readonly problems: readonly string[];
}

export interface ExperimentOptions extends Omit<RunOptions, "folder" | "scenario"> {
  /** The reports folder; the run gets a folder of its own in it. */
  readonly out: string;
  /** False: record and verdict only. Default true. */
  readonly draw?: boolean;
}

/** @throws what `run` throws; CannotRun when the reports folder cannot be written */
export async function conduct({ out, draw = true, ...options }: ExperimentOptions): Promise<Outcome> {
  const started = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
  const folder = join(out, options.lab.name, `${started}-${options.subject.name}-${options.seed}`);
  const record = await runWithArms({ ...options, folder });
  await writeRecord(folder, record);
  if (!draw) return { verdict: judge(record, options.lab), folder, page: folder, problems: [] };
  const outcome = await judgeAndDraw(record, options.lab, folder);
  try {
    await writeIndex(out);
  } catch (error) {
    return {
      ...outcome,
      problems: [...outcome.problems, `the index page was not written: ${messageOf(error)}`],
    };
  }
  return outcome;
}

/** The run under test, then its arms, each in a folder of its own within the run's. */
async function runWithArms(options: Omit<RunOptions, "scenario">): Promise<RunRecord> {
  const { arms = [], ...scenario } = options.lab.profiles[options.profile];
  const record = await run({ ...options, scenario });
  if (arms.length === 0) return record;
  const records: NonNullable<RunRecord["arms"]> = [];
  for (const { name, subject, scenario } of arms) {
    options.onProgress({ step: "place", event: `arm: ${name}` });
    records.push({
      name,
      record: await run({
        ...options,
        scenario,
        subject: subject === undefined ? options.subject : resolveSubject(options.lab.home, subject, []),
        folder: join(options.folder, "arms", name),
      }),
    });
  }
  return { ...record, arms: records };
}

/** Everything that follows from a record. */
export async function judgeAndDraw(record: RunRecord, lab: Lab, folder: string): Promise<Outcome> {
  const evidence = readEvidence(record, lab);
  const verdict = judgeEvidence(evidence);
  const problems: string[] = [];
  const charts = lab.charts.flatMap((chart) => {
    try {
      return [chart(evidence)];
    } catch (error) {
      problems.push(`a chart could not be made: ${messageOf(error)}`);
      return [];
    }
  });
  try {
    const report = await writeReport({ folder, record, verdict, charts, title: lab.title });
    return { verdict, folder, page: report.page, problems: [...problems, ...report.problems] };
  } catch (error) {
    // The verdict stands, whatever became of its page.
    return { verdict, folder, page: folder, problems: [...problems, messageOf(error)] };
  }
}
