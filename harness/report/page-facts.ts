/** What the run was made with: command, parameters, stack, host, exact times, files. */
import { type AnyRecord, isDrillRecord, type RunRecord } from "../record/record.ts";
import { type Html, html } from "./html.ts";
import { exitWords } from "./page-timeline.ts";
import { counted, dateTime, megabytes, percent, quantity, seconds } from "./words.ts";

type Row = readonly [name: string, value: string | number];

function facts(title: string, rows: readonly Row[], more: Html | false = false): Html {
  const lines = rows.map(([name, value]) => {
    return html`<tr><th scope="row">${name}</th><td class="num">${typeof value === "number" ? quantity(value) : value}</td></tr>`;
  });
  return html`<section class="card"><h3>${title}</h3><table><tbody>${lines}</tbody></table>${more}</section>`;
}

export function runFacts(record: AnyRecord, files: readonly string[]): Html {
  const { stack, host } = record;
  const errors = isDrillRecord(record) ? [] : record.ledger.errors;
  const limits =
    stack.limits.length > 0 &&
    html`<p>What this stack could not do:</p><ul>${stack.limits.map((one) => html`<li>${one}</li>`)}</ul>`;
  return html`<div class="facts">
<section class="card wide"><h3>Run it again</h3><pre>${record.command}</pre>
<p class="soft">The same seed gives the same events, failures and moments of kills. Files of this run: ${files.map((file, index) => html`${index > 0 && ", "}<a href="${file}">${file}</a>`)}.</p></section>
${facts(
  "Run",
  [
    ["lab", record.lab],
    ["subject", record.subject.name],
    ["profile", record.profile],
    ["seed", String(record.seed)],
    ["started", dateTime(record.startedAt)],
    ["finished after", seconds(record.finishedMs)],
    ...(isDrillRecord(record) ? [] : messageRows(record)),
  ],
  errors.length > 0 &&
    html`<p>First errors of sends:</p><ul>${errors.map((one) => html`<li>${one}</li>`)}</ul>`,
)}
${facts("Stack", [["kind", stack.kind], ...Object.entries(stack.versions).sort()], html`<p class="soft">Chosen because: ${stack.why}</p>${limits}`)}
${facts("Parameters", Object.entries(record.parameters))}
${facts("Host", [
  ["processor", host.cpuModel],
  ["processors", host.cpus],
  ["memory", megabytes(host.memoryBytes)],
  ["system", `${host.platform} ${host.arch}`],
  ["Node.js", host.node],
  ["10 ms timer late before the run, p99", `${quantity(host.calibration.timerLatenessMs.p99)} ms`],
  ["of one processor a busy loop got", percent(host.calibration.cpuShare)],
  ["event loop delay in the run, p99", `${quantity(host.duringRun.eventLoopDelayMs.p99)} ms`],
  [
    "used by other programs in the run",
    host.duringRun.foreignCpuShare === null ? "cannot be told" : percent(host.duringRun.foreignCpuShare),
  ],
  ["clock drift", `${quantity(host.duringRun.clockDriftMs)} ms`],
])}
${exactTimes(record)}
</div>`;
}

function messageRows({ ledger, topic, tables, settled }: RunRecord): Row[] {
  return [
    ["topic", `${topic.name}, ${counted(topic.partitions, "partition")}`],
    ["messages planned", ledger.planned],
    ["messages acknowledged", ledger.ackedMs.filter((at) => at >= 0).length],
    ...(ledger.stoppedMs === null ? [] : [["load given up after", seconds(ledger.stoppedMs)] as const]),
    ...tables.map(({ name, asSent, others }): Row => [`rows in ${name}`, asSent.length + others.length]),
    ["everything committed", settled.drained ? `after ${seconds(settled.atMs)}` : "never"],
  ];
}

function exactTimes({ phases, faults, workers }: AnyRecord): Html {
  const row = (name: string, from: string, to: string, note: string) =>
    html`<tr><th scope="row">${name}</th><td class="num">${from}</td><td class="num">${to}</td><td>${note}</td></tr>`;
  return html`<section class="card"><h3>Exact times</h3><table class="times">
<thead><tr><th></th><th class="right">from</th><th class="right">to</th><th class="right">note</th></tr></thead><tbody>
${phases.map((one) => row(one.name, seconds(one.startMs), seconds(one.endMs), `${quantity(one.perSecond)}/s`))}
${faults.map((one) => row(one.name, seconds(one.startMs), seconds(one.healMs), `${one.note ? `${one.note}; ` : ""}allowed until ${seconds(one.clearMs)}`))}
${workers.map((one) => row(one.id, seconds(one.startMs), one.exit ? seconds(one.exit.atMs) : "end", one.exit ? exitWords(one.exit) : "still running"))}
</tbody></table></section>`;
}
