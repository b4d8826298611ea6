/** The pictures of the backpressure lab, as data. */
import type { Chart, Role, Series } from "../../harness/report/chart.ts";
import { bandsOf, perSecond } from "../../harness/report/series.ts";
import { inFlightOverTime } from "../../harness/verdict/bounds.ts";
import { capacityCurve, decidesAmong, overheadByWork } from "../../harness/verdict/capacity.ts";
import type { Evidence } from "../../harness/verdict/evidence.ts";
import { type Flow, flowOf, ratedSteps } from "../../harness/verdict/flow.ts";
import { lagOverTime } from "../../harness/verdict/timing.ts";

const x = { label: "time since the load began (s)" };
const windowMs = 500;
const megabyte = 1_000_000;

/** The drill's proof: what the worker pulls, by how long the work takes. */
export function capacityChart(evidence: Evidence): Chart {
  const { concurrency, callOverheadMs, ...flow } = flowOf(evidence);
  const steps = ratedSteps(flow);
  const offered = steps[0]?.offeredPerSecond ?? 0;
  const overheadAt = overheadByWork(steps, callOverheadMs);
  const decides = decidesAmong(steps);
  const overheads = steps.map(({ servedMs }) => overheadAt(servedMs));
  const dots = (label: string, role: Role, isShown: (step: (typeof steps)[number]) => boolean): Series[] => {
    const shown = steps.filter(isShown);
    if (shown.length === 0) return [];
    const points = shown.map(({ servedMs, pulled }) => [servedMs, pulled?.perSecond ?? 0] as const);
    const spread = shown.map(({ pulled }) => [pulled?.low ?? 0, pulled?.high ?? 0] as const);
    return [{ label, role, kind: "dots", points, spread }];
  };
  return {
    id: "capacity",
    title: "Does the producer slow down as the work takes longer?",
    caption: `What was pulled from Kafka per second in each step, by how long a gateway call took. The curve is what ${concurrency} calls at once allow: ${concurrency} / (work time + overhead), the overhead as a caller of the harness's own paid it beside the load: ${Math.min(...overheads).toFixed(1)} to ${Math.max(...overheads).toFixed(1)} ms, by step. With a backlog the points must lie on it; without one, on the offered rate. Grey ones are not held against it: those of the quickest work, because most of such a call is the host's, and any that another overhead within the margin of that caller's calls, or one standstill, would bring back to it. Bars: lowest and highest half second. A worker that buffers stays at the offered rate or above it; a fixed throttle makes a horizontal row of points.`,
    criteria: ["pull-rate-falls", "rate-matches-capacity", "recovers"],
    x: { label: "processor latency: gateway work time as served (ms)", scale: "log" },
    panels: [
      {
        left: { label: "events pulled per second", min: 0 },
        series: [
          {
            label: "capacity",
            role: "limit",
            kind: "line",
            dashed: true,
            points: capacityCurve(steps, concurrency, overheadAt),
          },
          ...dots("pulled, saturated", "done", (one) => one.saturated && decides(one)),
          ...dots("pulled, decides nothing", "other", (one) => one.saturated && !decides(one)),
          ...dots("pulled, not saturated", "offered", (one) => !one.saturated),
        ],
        limits: [{ label: "offered", value: offered }],
      },
    ],
  };
}

export function flowChart(evidence: Evidence): Chart {
  const flow = flowOf(evidence);
  const { record } = evidence;
  const until = record.settled.atMs;
  const inFlight = inFlightOverTime(evidence).map(
    ({ atMs, events }) => [atMs / 1_000, Math.max(0, events)] as const,
  );
  return {
    id: "flow",
    title: "Do rate, work time and in-flight move together, step by step?",
    caption:
      "Above: events acknowledged by the broker, pulled by the worker and finished at the gateway, per second. Middle: how long a call takes. Below: events pulled and not finished. Pulled must follow finished, and not offered; what is in flight must not depend on the work time.",
    criteria: ["pull-rate-falls", "bounded-in-flight", "recovers", "lossless"],
    x,
    panels: [
      {
        left: { label: "events per second", min: 0 },
        series: [
          {
            label: "offered",
            role: "offered",
            kind: "line",
            points: perSecond(record.ledger.ackedMs, windowMs),
          },
          { label: "pulled", role: "committed", kind: "line", points: pulledPerSecond(flow) },
          {
            label: "finished",
            role: "done",
            kind: "line",
            points: perSecond([...flow.finishedMs], windowMs),
          },
        ],
      },
      {
        left: { label: "work time (ms)", scale: "log" },
        series: [
          {
            label: "work time",
            role: "latency",
            kind: "step",
            points: [
              ...flow.steps.map(({ startMs, workMs }) => [startMs / 1_000, workMs] as const),
              [until / 1_000, flow.steps.at(-1)?.workMs ?? 0] as const,
            ],
          },
        ],
      },
      {
        left: { label: "events in flight", min: 0 },
        series: [{ label: "in flight", role: "lag", kind: "area", points: inFlight }],
        limits: [{ label: "the worker's own bound", value: evidence.parameter("workerMaxInFlight") }],
      },
    ],
    bands: bandsOf(record),
  };
}

export function memoryChart(evidence: Evidence): Chart {
  const { messageBytes } = flowOf(evidence);
  const { record } = evidence;
  const until = record.settled.atMs;
  return {
    id: "memory",
    title: "Does the worker's memory grow with the backlog?",
    caption:
      "What waits on the broker, and the worker's resident memory, in the same unit. The backlog belongs on the broker's disk: the lower line must stay flat while the upper one climbs. In a worker that buffers, both climb together.",
    criteria: ["bounded-memory", "bounded-in-flight"],
    x,
    panels: [
      {
        left: { label: "MB", min: 0 },
        series: [
          {
            label: "backlog on the broker",
            role: "lag",
            kind: "area",
            points: lagOverTime(evidence)
              .filter(({ atMs }) => atMs <= until)
              .map(
                ({ atMs, lagMessages }) => [atMs / 1_000, (lagMessages * messageBytes) / megabyte] as const,
              ),
          },
          {
            label: "worker's memory (RSS)",
            role: "memory",
            kind: "line",
            points: record.workers.flatMap(({ samples }) =>
              samples
                .filter(({ atMs }) => atMs >= 0 && atMs <= until)
                .map(({ atMs, rssBytes }) => [atMs / 1_000, rssBytes / megabyte] as const),
            ),
          },
        ],
      },
    ],
    bands: bandsOf(record),
  };
}

function pulledPerSecond({ pulled }: Flow): (readonly [number, number])[] {
  const points: (readonly [number, number])[] = [];
  let from = pulled[0];
  for (const one of pulled) {
    if (from === undefined || one.atMs - from.atMs < windowMs) continue;
    const middleMs = (from.atMs + one.atMs) / 2;
    if (from.atMs >= 0)
      points.push([middleMs / 1_000, ((one.events - from.events) * 1_000) / (one.atMs - from.atMs)]);
    from = one;
  }
  return points;
}
