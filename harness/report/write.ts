/** Writes what a person opens after a run: verdict.json, charts, index.html. */
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { AnyRecord } from "../record/record.ts";
import { replaceFile } from "../replace-file.ts";
import type { RunVerdict } from "../verdict/verdict.ts";
import type { Chart } from "./chart.ts";
import { drawChart, narrowWidth, wideWidth } from "./draw.ts";
import { runPage } from "./page.ts";
import type { DrawnChart } from "./page-criteria.ts";

export interface Report {
  /** The run's folder; made when it is not there. record.json is expected in it. */
  readonly folder: string;
  readonly record: AnyRecord;
  readonly verdict: RunVerdict;
  readonly charts: readonly Chart[];
  /** What the lab proves, in one line. */
  readonly title?: string;
}

export interface WrittenReport {
  /** Path of index.html. */
  readonly page: string;
  /** Paths of the charts' PNG files. */
  readonly chartFiles: readonly string[];
  /** What went wrong without spoiling the rest, such as a chart that could not be drawn; for people. */
  readonly problems: readonly string[];
}

/** What verdict.json holds beside the verdict: what the index needs, so that it need not read records. */
export interface RunHead {
  readonly startedAt: number;
  readonly profile: string;
  readonly finishedMs: number;
  readonly charts: readonly { readonly title: string; readonly file: string }[];
}

/**
 * Draws the charts and writes the report, each file whole or not at all.
 *
 * A chart that cannot be drawn becomes a problem and a word on the page. Rejects, with one Error that
 * names the folder and the cause, only when files cannot be written.
 */
export async function writeReport(report: Report): Promise<WrittenReport> {
  const { folder, record, verdict, charts } = report;
  // A picture takes as long to encode, off this thread, as to paint: all are painted meanwhile.
  const drawn: DrawnChart[] = await Promise.all(charts.map(draw));

  const head: RunHead = {
    startedAt: record.startedAt,
    profile: record.profile,
    finishedMs: record.finishedMs,
    charts: drawn.flatMap((one) => ("file" in one ? [{ title: one.chart.title, file: one.file }] : [])),
  };
  const page = runPage({
    record,
    verdict,
    charts: drawn,
    files: ["record.json", "verdict.json"],
    ...(report.title === undefined ? {} : { title: report.title }),
  });
  const chartFiles: string[] = [];
  try {
    await writeWhole(join(folder, "verdict.json"), `${JSON.stringify({ ...verdict, run: head }, null, 2)}\n`);
    for (const one of drawn) {
      if (!("file" in one)) continue;
      const path = join(folder, one.file);
      await writeWhole(path, one.wide);
      chartFiles.push(path);
    }
    await writeWhole(join(folder, "index.html"), page);
  } catch (error) {
    throw cannotWrite(folder, error);
  }
  return {
    page: join(folder, "index.html"),
    chartFiles,
    problems: drawn.flatMap((one) => {
      return "problem" in one ? [`chart "${one.chart.id}" could not be drawn: ${one.problem}`] : [];
    }),
  };
}

async function draw(chart: Chart): Promise<DrawnChart> {
  try {
    const [wide, narrow] = await Promise.all([drawChart(chart, wideWidth), drawChart(chart, narrowWidth)]);
    return { chart, file: `charts/${chart.id.replace(/[^\w-]+/g, "-")}.png`, wide, narrow };
  } catch (error) {
    return { chart, problem: error instanceof Error ? error.message : String(error) };
  }
}

/** Replaces the file, in a folder that is made when it is not there. */
export async function writeWhole(path: string, content: string | Buffer): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await replaceFile(path, content);
}

const causes: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EACCES: "no permission to write there",
  EPERM: "no permission to write there",
  EROFS: "the file system is read-only",
  ENOTDIR: "a part of the path is a file, not a folder",
  EEXIST: "a part of the path is a file, not a folder",
};

/** One line for people: which folder, and why. */
export function cannotWrite(folder: string, error: unknown): Error {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const cause = causes[code] ?? (error instanceof Error ? error.message : String(error));
  return new Error(`cannot write the report to ${folder}: ${cause}${code ? ` (${code})` : ""}`, {
    cause: error,
  });
}
