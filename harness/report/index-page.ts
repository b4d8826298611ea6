/** The page over all labs: the latest run of each, from what lies in the reports folder. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Verdict } from "../verdict/verdict.ts";
import { type Html, html } from "./html.ts";
import { chip, document, verdictWords } from "./page-parts.ts";
import { counted, dateTime, listed } from "./words.ts";
import { cannotWrite, writeWhole } from "./write.ts";

const verdictWord = z.enum(["pass", "fail", "unknown"]);

/** As much of verdict.json as this page shows. */
const runFile = z.object({
  lab: z.string(),
  subject: z.string(),
  seed: z.number(),
  stack: z.string(),
  verdict: verdictWord,
  criteria: z.array(z.object({ id: z.string(), verdict: verdictWord })),
  run: z.object({
    startedAt: z.number(),
    profile: z.string(),
    charts: z.array(z.object({ title: z.string(), file: z.string().regex(/^charts\/[\w-]+\.png$/) })),
  }),
});

interface Run extends z.infer<typeof runFile> {
  /** Folder names, from the reports folder. */
  readonly path: readonly [lab: string, run: string];
}

interface Skipped {
  readonly path: string;
  readonly why: string;
}

/**
 * Writes index.html into the reports folder and gives its path. Folders that hold no readable run are
 * named on the page and skipped. Rejects, with one Error, only when the page cannot be written.
 */
export async function writeIndex(reportsFolder: string): Promise<string> {
  const path = join(reportsFolder, "index.html");
  const { labs, skipped } = await readRuns(reportsFolder);
  try {
    await writeWhole(path, indexPage(labs, skipped));
  } catch (error) {
    throw cannotWrite(reportsFolder, error);
  }
  return path;
}

/** The readable runs of each lab that has any, newest first. */
async function readRuns(reportsFolder: string): Promise<{ labs: Run[][]; skipped: Skipped[] }> {
  const labs: Run[][] = [];
  const skipped: Skipped[] = [];
  for (const lab of await folders(reportsFolder)) {
    const runs: Run[] = [];
    for (const run of await folders(join(reportsFolder, lab))) {
      try {
        const text = await readFile(join(reportsFolder, lab, run, "verdict.json"), "utf8");
        runs.push({ ...runFile.parse(JSON.parse(text)), path: [lab, run] });
      } catch (error) {
        skipped.push({ path: `${lab}/${run}`, why: reason(error) });
      }
    }
    if (runs.length > 0) labs.push(runs.sort((a, b) => b.run.startedAt - a.run.startedAt));
  }
  return { labs, skipped };
}

async function folders(parent: string): Promise<string[]> {
  const entries = await readdir(parent, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

function reason(error: unknown): string {
  if (error instanceof z.ZodError) {
    const [issue] = error.issues;
    return `verdict.json is not one of a run: ${issue?.path.join(".") || "it"}: ${issue?.message}`;
  }
  if (error instanceof SyntaxError) return "verdict.json is not whole";
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return "it has no verdict.json";
  return error instanceof Error ? error.message : String(error);
}

function indexPage(labs: readonly (readonly Run[])[], skipped: readonly Skipped[]): string {
  return document(
    "Sluice: all labs",
    html`<div class="top"><span><b>Sluice</b> &nbsp;all labs</span></div>
<main>
<h1 class="overall">${headline(labs.flatMap(([latest]) => (latest ? [latest.verdict] : [])))}</h1>
<div class="labs">${labs.map(labCard)}</div>
${labs.length === 0 && html`<p>No run has been reported here yet. Start one with <code>npm start -- ingest</code>.</p>`}
${skipped.length > 0 && html`<h2>Skipped folders</h2><ul class="skipped">${skipped.map(({ path, why }) => html`<li><code>${path}</code>: ${why}</li>`)}</ul>`}
</main>
<footer>The latest run of each lab.</footer>`,
  );
}

function headline(verdicts: readonly Verdict[]): string {
  const counts = (["pass", "fail", "unknown"] as const).flatMap((verdict) => {
    const count = verdicts.filter((one) => one === verdict).length;
    return count > 0 ? [`${count} ${verdictWords[verdict].toLowerCase()}`] : [];
  });
  return verdicts.length === 0 ? "No runs yet" : `${counted(verdicts.length, "lab")}: ${listed(counts)}`;
}

function labCard([latest, ...older]: readonly Run[]): Html | false {
  if (latest === undefined) return false;
  const folder = latest.path.map(encodeURIComponent).join("/");
  const [chart] = latest.run.charts;
  const kept = latest.criteria.filter((one) => one.verdict === "pass").length;
  const open = latest.criteria.filter((one) => one.verdict !== "pass");
  return html`<article class="card lab">
${chart && html`<a class="thumb" href="${folder}/index.html"><img src="${folder}/${chart.file}" alt="${`Chart: ${chart.title}`}" loading="lazy"></a>`}
<div class="body"><header><h2><a href="${folder}/index.html">${latest.lab}</a></h2>${chip(latest.verdict)}</header>
<p>${kept} of ${counted(latest.criteria.length, "promise")} kept by <b>${latest.subject}</b></p>
${open.length > 0 && html`<ul>${open.map((one) => html`<li class="chip ${one.verdict}">${one.id}</li>`)}</ul>`}
<p class="soft">${dateTime(latest.run.startedAt)}, ${latest.run.profile} profile, ${latest.stack} stack, seed ${String(latest.seed)}${older.length > 0 && html`; ${counted(older.length, "older run")}`}</p>
</div></article>`;
}
