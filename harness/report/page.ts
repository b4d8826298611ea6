/** The page of one run: one file, no scripts, nothing fetched; verdict first, then the evidence. */
import { type AnyRecord, isDrillRecord } from "../record/record.ts";
import type { RunVerdict, Verdict } from "../verdict/verdict.ts";
import { type Html, html } from "./html.ts";
import { type DrawnChart, evidenceSections, summaryTable, worstFirst } from "./page-criteria.ts";
import { runFacts } from "./page-facts.ts";
import { document, sign, verdictWords } from "./page-parts.ts";
import { exitWords, timeline } from "./page-timeline.ts";
import { counted, dateTime, listed, quantity, seconds } from "./words.ts";

export interface RunPage {
  readonly record: AnyRecord;
  readonly verdict: RunVerdict;
  readonly charts: readonly DrawnChart[];
  /** What the lab proves, in one line; shown under the verdict. */
  readonly title?: string;
  /** Files beside the page that it links to. */
  readonly files: readonly string[];
}

/** The whole document. Everything from the record and the verdict is escaped. */
export function runPage({ record, verdict, charts, title, files }: RunPage): string {
  const name = `${verdict.lab}: ${verdict.subject}`;
  return document(
    `${verdictWords[verdict.verdict]}: ${name}`,
    html`<div class="top"><span><b>Sluice</b> &nbsp;${name}</span><a href="../../index.html">all labs</a></div>
<main>
<section class="hero ${verdict.verdict}">${sign(verdict.verdict)}
<div><h1>${verdictWords[verdict.verdict]}</h1>${title !== undefined && html`<p class="about">${title}</p>`}</div>
<p class="sentence">${sentence(record, verdict)}</p></section>
${figures(record, verdict)}
${deaths(record)}
<h2>Promises</h2>
${summaryTable(verdict.criteria)}
<h2>Timeline</h2>
${timeline(record)}
<h2>Evidence</h2>
${evidenceSections(verdict.criteria, charts)}
<h2>How this was measured</h2>
${runFacts(record, files)}
</main>
<footer>Run of ${dateTime(record.startedAt)}. Everything was measured from outside the worker; the verdict is a function of record.json alone.</footer>`,
  );
}

/** What was proven, or what failed, or why nothing could be decided. */
function sentence(record: AnyRecord, { verdict, lab, subject, criteria }: RunVerdict): Html {
  const all = counted(criteria.length, "promise");
  const loadMs = Math.max(0, ...record.phases.map((phase) => phase.endMs));
  const under = isDrillRecord(record)
    ? html`${counted(record.phases.length, "phase")} in ${seconds(loadMs)}`
    : html`${counted(record.ledger.planned, "message")} in ${seconds(loadMs)}`;
  const times = new Map<string, number>();
  for (const { name } of record.faults) times.set(name, (times.get(name) ?? 0) + 1);
  const faults = [...times].map(([name, count]) => (count === 1 ? name : `${name} ${count} times`));
  const despite =
    faults.length > 0 && html`, through ${counted(record.faults.length, "fault")} (${listed(faults)})`;
  if (verdict === "pass") {
    return html`The worker <b>${subject}</b> kept all ${all} of the ${lab} lab: ${under}${despite}.`;
  }
  const open = worstFirst(criteria).filter((one) => one.verdict === verdict);
  const first = open[0];
  const names = html`${open.map((one, index) => html`${index > 0 && ", "}<b class="id">${one.id}</b>`)}`;
  if (verdict === "fail") {
    return html`The worker <b>${subject}</b> broke ${open.length} of ${all}: ${names}. ${first?.detail}`;
  }
  if (first === undefined) return html`Nothing was judged in this run of <b>${subject}</b>.`;
  return html`This run of <b>${subject}</b> could not decide ${open.length} of ${all}: ${names}. ${first.detail}`;
}

function figures(record: AnyRecord, { criteria }: RunVerdict): Html {
  const kept = criteria.filter((one) => one.verdict === "pass").length;
  const rates = record.phases.map((phase) => phase.perSecond);
  const [low, high] = [Math.min(...rates), Math.max(...rates)];
  const rate =
    rates.length === 0
      ? "none"
      : low === high
        ? `${quantity(low)}/s`
        : `${quantity(low)}\u2013${quantity(high)}/s`;
  const entries = [
    ["promises kept", `${kept} of ${criteria.length}`],
    isDrillRecord(record)
      ? ["phases", quantity(record.phases.length)]
      : ["messages", quantity(record.ledger.planned)],
    [isDrillRecord(record) ? "rate" : "offered load", rate],
    ["faults", quantity(record.faults.length)],
    ["stack", record.stack.kind],
    ["seed", String(record.seed)],
  ] as const;
  return html`<dl class="figures">${entries.map(([name, value]) => html`<div><dt>${name}</dt><dd class="num">${value}</dd></div>`)}</dl>`;
}

/** A worker that ended by itself is the first thing to know about a run. */
function deaths({ workers }: AnyRecord): Html | false {
  const died = workers.filter((worker) => worker.exit !== null && !worker.exit.planned);
  if (died.length === 0) return false;
  const tone: Verdict = "fail";
  return html`<div class="card note ${tone}">${died.map(({ id, exit }) => exit && html`<p><b>${id} ended by itself</b> with ${exitWords(exit)} at ${seconds(exit.atMs)}. Its last words:</p><pre>${exit.tail || "(no output)"}</pre>`)}</div>`;
}
