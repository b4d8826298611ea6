/** One experiment from end to end: run, record, judge, draw. */
import { join } from "node:path";
import { CannotRun } from "./cannot-run.ts";
import { compileChanged } from "./compiled.ts";
import { type AnyLab, isDrill } from "./drill.ts";
import type { Arm } from "./lab.ts";
import { writeRecord } from "./record/file.ts";
import { type AnyRecord, isDrillRecord, type RunRecord } from "./record/record.ts";
import type { Chart } from "./report/chart.ts";
import { writeIndex } from "./report/index-page.ts";
import { writeReport } from "./report/write.ts";
import { run } from "./run.ts";
import { runDrill } from "./run-drill.ts";
import type { RunOptions } from "./run-options.ts";
import { scenarioOf } from "./scenario.ts";
import { messageOf } from "./stack/readiness.ts";
import type { Stack } from "./stack/stack.ts";
import { resolveSubject } from "./subject/resolve.ts";
import { badEndings } from "./verdict/endings.ts";
import { readEvidence } from "./verdict/evidence.ts";
import { judgeDrill, judgeEvidence, readDrillEvidence } from "./verdict/judge.ts";
import type { RunVerdict } from "./verdict/verdict.ts";

export interface Outcome {
  readonly verdict: RunVerdict;
  /** The run's folder, and its page. */
  readonly folder: string;
  readonly page: string;
  /** What went wrong while drawing, and how workers ended; none of it touches the verdict. */
  readonly problems: readonly string[];
}

export interface ExperimentOptions extends Omit<RunOptions, "folder" | "scenario" | "lab" | "stack"> {
  readonly lab: AnyLab;
  /** May be absent for a drill only. */
  readonly stack: Stack | undefined;
  /** The reports folder; the run gets a folder of its own in it. */
  readonly out: string;
  /** False: record and verdict only. Default true. */
  readonly draw?: boolean;
}

/** @throws what `run` throws; CannotRun when the reports folder cannot be written */
export async function conduct({ out, draw = true, ...options }: ExperimentOptions): Promise<Outcome> {
  const started = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
  const folder = join(out, options.lab.name, `${started}-${options.subject.name}-${options.seed}`);
  await compileChanged();
  const record = await observe({ ...options, folder });
  await writeRecord(folder, record);
  if (!draw) return { verdict: assess(record, options.lab).verdict, folder, page: folder, problems: [] };
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

function observe({
  lab,
  stack,
  ...options
}: Omit<ExperimentOptions, "out" | "draw"> & { readonly folder: string }): Promise<AnyRecord> {
  if (isDrill(lab)) return runDrill({ ...options, drill: lab, parameters: lab.profiles[options.profile] });
  if (stack === undefined) throw new RangeError(`lab ${lab.name} needs a stack`);
  return runWithArms({ ...options, lab, stack });
}

/** The run under test, then its arms, each in a folder of its own within the run's. */
async function runWithArms(options: Omit<RunOptions, "scenario">): Promise<RunRecord> {
  const { arms = [], ...scenario } = scenarioOf(options.lab, options.profile, options.kills);
  const record = await run({ ...options, scenario });
  if (arms.length === 0) return record;
  const records: NonNullable<RunRecord["arms"]> = [];
  for (const some of besideEachOther(arms)) {
    options.onProgress({ step: "place", event: `arm: ${some.map(({ name }) => name).join(", ")}` });
    const ended = await Promise.allSettled(
      some.map(async ({ name, subject, scenario }, i) => ({
        name,
        record: await run({
          ...options,
          scenario,
          calibration: record.host.calibration,
          subject: subject === undefined ? options.subject : resolveSubject(options.lab.home, subject, []),
          folder: join(options.folder, "arms", name),
          // Two counters on one line would be neither.
          onProgress: i === 0 ? options.onProgress : () => undefined,
        }),
      })),
    );
    for (const one of ended) {
      if (one.status === "rejected") throw one.reason;
      records.push(one.value);
    }
  }
  return { ...record, arms: records };
}

function besideEachOther(arms: readonly Arm[]): Arm[][] {
  const groups: Arm[][] = [];
  for (const arm of arms) {
    const last = groups.at(-1);
    if (arm.besideLast === true && last !== undefined) last.push(arm);
    else groups.push([arm]);
  }
  return groups;
}

/** What a record says: its verdict, and the pictures that can be made of it. */
interface Assessment {
  readonly verdict: RunVerdict;
  /** Each makes charts; one that throws is a problem, and no more. */
  readonly charts: readonly (() => readonly Chart[])[];
}

/** @throws CannotRun when the lab is of another kind now than when the record was made */
function assess(record: AnyRecord, lab: AnyLab): Assessment {
  if (isDrill(lab) && isDrillRecord(record)) {
    const evidence = readDrillEvidence(record, lab);
    return { verdict: judgeDrill(evidence, lab), charts: [() => lab.charts(evidence)] };
  }
  if (isDrill(lab) || isDrillRecord(record)) {
    throw new CannotRun(`this record was not made by lab ${lab.name} as it is now`, ["run the lab again"]);
  }
  const evidence = readEvidence(record, lab);
  return {
    verdict: judgeEvidence(evidence),
    charts: lab.charts.map((chart) => () => [chart(evidence)]),
  };
}

/** Everything that follows from a record. */
export async function judgeAndDraw(record: AnyRecord, lab: AnyLab, folder: string): Promise<Outcome> {
  const { verdict, charts: makers } = assess(record, lab);
  const problems = badEndings(record);
  const charts = makers.flatMap((make) => {
    try {
      return make();
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
