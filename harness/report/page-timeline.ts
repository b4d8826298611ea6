/** The run on one clock: load, faults, workers. Bars of plain HTML, placed in percent of the run. */
import type { AnyRecord, Fault, Phase, WorkerRecord } from "../record/record.ts";
import { type Html, html } from "./html.ts";
import { scaleFor } from "./scale.ts";
import { quantity, seconds } from "./words.ts";

export function timeline(record: AnyRecord): Html {
  const { phases, faults, workers } = record;
  const startMs = Math.min(0, ...workers.map((worker) => worker.startMs));
  const endMs = Math.max(record.finishedMs, startMs + 1, ...phases.map((phase) => phase.endMs));
  const clock: Clock = (ms) => ((Math.max(startMs, Math.min(endMs, ms)) - startMs) / (endMs - startMs)) * 100;
  const loadEndMs = Math.max(0, ...phases.map((phase) => phase.endMs));
  const busiest = Math.max(1, ...phases.map((phase) => phase.perSecond));
  const settle =
    record.settled.atMs > loadEndMs &&
    bar(
      clock,
      "settle",
      loadEndMs,
      record.settled.atMs,
      `settling, ${seconds(loadEndMs)} to ${seconds(record.settled.atMs)}`,
    );
  const ticks = scaleFor({
    axis: { label: "", min: startMs / 1_000, max: endMs / 1_000 },
    values: [],
    room: 9,
    fit: "data",
  }).ticks;
  return html`<div class="card timeline">
<div class="lane"><span>load</span><div class="track tall">${phases.map((phase) => phaseBar(clock, phase, busiest))}${settle}</div></div>
${faults.map((fault) => faultLane(clock, fault))}
${workers.map((worker) => workerLane(clock, worker, endMs))}
<div class="lane axis"><span>since load began</span><div class="ticks">${ticks.map((tick) => html`<span style="left:${clock(tick.value * 1_000).toFixed(2)}%">${tick.label} s</span>`)}</div></div>
<p class="key">Solid: load, a fault, a worker at work. Hatched: a worker starting, or how long the consequences of a fault may last. Dashed: settling, until everything was committed.</p>
</div>`;
}

/** Percent of the run's width. */
type Clock = (ms: number) => number;

function bar(
  clock: Clock,
  kind: string,
  fromMs: number,
  toMs: number,
  title: string,
  text: Html | string = "",
  height = 100,
): Html {
  const left = clock(fromMs);
  const place = `left:${left.toFixed(2)}%;width:${(clock(toMs) - left).toFixed(2)}%;height:${height.toFixed(0)}%`;
  return html`<div class="bar ${kind}" style="${place}" title="${title}">${text}</div>`;
}

function phaseBar(clock: Clock, { name, startMs, endMs, perSecond }: Phase, busiest: number): Html {
  const rate = `${quantity(perSecond)}/s`;
  const title = `${name}, ${rate}, ${seconds(startMs)} to ${seconds(endMs)}`;
  const text = html`<span>${name}</span><span>${rate}</span>`;
  return bar(clock, "load", startMs, endMs, title, text, Math.max(55, (perSecond / busiest) * 100));
}

function faultLane(clock: Clock, { name, startMs, healMs, clearMs }: Fault): Html {
  const allowance = `${name}: consequences allowed until ${seconds(clearMs)}`;
  return html`<div class="lane"><span>${name}</span><div class="track">
${bar(clock, "fault", startMs, healMs, `${name}, ${seconds(startMs)} to ${seconds(healMs)}`)}
${bar(clock, "allowance", healMs, clearMs, allowance)}</div></div>`;
}

function workerLane(clock: Clock, worker: WorkerRecord, endMs: number): Html {
  const { id, startMs, readyMs, exit } = worker;
  const leftMs = exit?.atMs ?? endMs;
  const workingMs = readyMs ?? leftMs;
  const ended = exit === null ? "" : `, ended by ${exitWords(exit)} at ${seconds(exit.atMs)}`;
  return html`<div class="lane"><span>${id}</span><div class="track">
${bar(clock, "starting", startMs, workingMs, `${id} starting, ${seconds(startMs)} to ${seconds(workingMs)}`)}
${readyMs !== null && bar(clock, "worker", readyMs, leftMs, `${id} at work from ${seconds(readyMs)}${ended}`)}</div></div>`;
}

/** "SIGKILL", "exit code 0". */
export function exitWords(exit: NonNullable<WorkerRecord["exit"]>): string {
  return exit.signal ?? (exit.code === null ? "an unknown cause" : `exit code ${exit.code}`);
}
