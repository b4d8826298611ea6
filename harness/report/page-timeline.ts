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
${byName(faults).map((these) => faultLane(clock, these))}
${inLanes(workers, endMs).map((these) => workersLane(clock, these, endMs))}
<div class="lane axis"><span>since load began</span><div class="ticks">${ticks.map((tick) => html`<span style="left:${clock(tick.value * 1_000).toFixed(2)}%">${tick.label} s</span>`)}</div></div>
<p class="key">Solid: load, a fault, a worker at work. Hatched: a worker starting, or how long the consequences of a fault may last. Dashed: settling, until everything was committed.</p>
</div>`;
}

/** More faults or workers than this share lanes. */
const mostLanes = 6;

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

/** A few faults have a lane each; many of one name share one. */
function byName(faults: readonly Fault[]): Fault[][] {
  if (faults.length <= mostLanes) return faults.map((fault) => [fault]);
  return [...new Set(faults.map(({ name }) => name))].map((name) =>
    faults.filter((fault) => fault.name === name),
  );
}

function faultLane(clock: Clock, faults: readonly Fault[]): Html {
  const [first] = faults;
  const name = faults.length === 1 ? first?.name : `${faults.length} × ${first?.name}`;
  return html`<div class="lane"><span>${name}</span><div class="track">${faults.map((fault, i) => {
    const { startMs, healMs, clearMs } = fault;
    // Where the next one strikes its own window begins.
    const untilMs = Math.min(clearMs, faults[i + 1]?.startMs ?? clearMs);
    const allowance = `${fault.name}: consequences allowed until ${seconds(clearMs)}`;
    return html`
${bar(clock, "fault", startMs, healMs, `${fault.name}, ${seconds(startMs)} to ${seconds(healMs)}`)}
${bar(clock, "allowance", healMs, Math.max(healMs, untilMs), allowance)}`;
  })}</div></div>`;
}

/** A few workers have a lane each; of many, one that comes takes the lane of one that has gone. */
function inLanes(workers: readonly WorkerRecord[], endMs: number): WorkerRecord[][] {
  if (workers.length <= mostLanes) return workers.map((worker) => [worker]);
  const lanes: WorkerRecord[][] = [];
  for (const worker of workers) {
    const free = lanes.find((lane) => (lane.at(-1)?.exit?.atMs ?? endMs) <= worker.startMs);
    if (free === undefined) lanes.push([worker]);
    else free.push(worker);
  }
  return lanes;
}

function workersLane(clock: Clock, workers: readonly WorkerRecord[], endMs: number): Html {
  const [first] = workers;
  const name = workers.length === 1 ? first?.id : `${first?.id} … ${workers.at(-1)?.id}`;
  return html`<div class="lane"><span>${name}</span><div class="track">${workers.map((worker) => workerBars(clock, worker, endMs))}</div></div>`;
}

function workerBars(clock: Clock, worker: WorkerRecord, endMs: number): Html {
  const { id, startMs, readyMs, exit } = worker;
  const leftMs = exit?.atMs ?? endMs;
  const workingMs = readyMs ?? leftMs;
  const ended = exit === null ? "" : `, ended by ${exitWords(exit)} at ${seconds(exit.atMs)}`;
  return html`
${bar(clock, "starting", startMs, workingMs, `${id} starting, ${seconds(startMs)} to ${seconds(workingMs)}`)}
${readyMs !== null && bar(clock, "worker", readyMs, leftMs, `${id} at work from ${seconds(readyMs)}${ended}`)}`;
}

/** "SIGKILL", "exit code 0". */
export function exitWords(exit: NonNullable<WorkerRecord["exit"]>): string {
  return exit.signal ?? (exit.code === null ? "an unknown cause" : `exit code ${exit.code}`);
}
