/** The pictures of the edge, as data. */
import type { Chart } from "../../../harness/report/chart.ts";
import { bandsOf, percentilesOverTime, perSecond } from "../../../harness/report/series.ts";
import { capacityCurve, decidesAmong, overheadByWork } from "../../../harness/verdict/capacity.ts";
import { type EdgeEvidence, flowOf, type Step } from "./flow.ts";

const x = { label: "time since the load began (s)" };
const windowMs = 250;
const megabyte = 1_000_000;

export function charts(evidence: EdgeEvidence): Chart[] {
  return [capacityChart(evidence), answersChart(evidence), memoryChart(evidence)];
}

/** The twin of the backpressure lab's picture: there the pull rate falls, here what is accepted. */
function capacityChart(evidence: EdgeEvidence): Chart {
  const { steps, concurrency, callOverheadMs } = flowOf(evidence);
  const offered = steps[0]?.offered ?? 0;
  const decides = decidesAmong(steps);
  const undecided = steps.filter((one) => one.saturated && !decides(one));
  const dots = (which: readonly Step[]) => ({
    kind: "dots" as const,
    points: which.map(({ servedMs, donePerSecond }) => [servedMs, donePerSecond] as const),
    spread: which.map(({ spread }) => spread),
  });
  return {
    id: "capacity",
    title: "Is as much taken in as can be stored, and the rest refused?",
    caption: `What was stored per second in each step, by how long a gateway call took. The curve is what ${concurrency} calls at once allow, with the overhead of a call as a caller of the harness's own paid it beside the load. While requests are refused the points must lie on it; otherwise at the offered rate. Grey ones are not held against it: those of the quickest work, because most of such a call is the host's, and any that another overhead within the margin of that caller's calls, or one standstill, would bring back to it. Stored and refused add up to what was offered, less what was malformed. Bars: lowest and highest half second.`,
    criteria: ["rate-matches-capacity", "lossless", "answers-all", "bounded-concurrency"],
    x: { label: "gateway work time as served (ms)", scale: "log" },
    panels: [
      {
        left: {
          label: "events per second",
          min: 0,
          max: Math.max(offered, ...steps.map(({ spread }) => spread[1])) * 1.15,
        },
        series: [
          {
            label: "capacity",
            role: "limit",
            kind: "line",
            dashed: true,
            points: capacityCurve(steps, concurrency, overheadByWork(steps, callOverheadMs)),
          },
          {
            label: "stored, while refusing",
            role: "done",
            ...dots(steps.filter((one) => one.saturated && decides(one))),
          },
          ...(undecided.length === 0
            ? []
            : [{ label: "stored, decides nothing", role: "other" as const, ...dots(undecided) }]),
          {
            label: "stored, nobody refused",
            role: "offered",
            ...dots(steps.filter((one) => !one.saturated)),
          },
          {
            label: "refused",
            role: "bad",
            kind: "dots",
            points: steps.map(({ servedMs, refusedPerSecond }) => [servedMs, refusedPerSecond] as const),
          },
        ],
        limits: [{ label: "offered", value: offered }],
      },
    ],
  };
}

function answersChart(evidence: EdgeEvidence): Chart {
  const { requests } = flowOf(evidence);
  const answered = (status: number) => requests.filter((one) => one.status === status);
  const times = (status: number) =>
    perSecond(
      answered(status).map(({ answeredMs }) => answeredMs ?? -1),
      windowMs,
    );
  const waits = (status: number, share: number) =>
    percentilesOverTime(
      answered(status).map(({ sentMs, answeredMs }) => [sentMs, (answeredMs ?? sentMs) - sentMs] as const),
      windowMs,
      [share],
    )[0] ?? [];
  return {
    id: "answers",
    title: "Who was told what, and how soon?",
    caption:
      "Above: requests sent, accepted (202) and refused (429), and those without an answer, per second. Below: how long they waited, half of them and 99 of 100. A refusal takes no time at all; who is accepted waits for the places before him, and no longer. Only a kill, and the end of the worker, may leave requests without an answer.",
    criteria: ["answers-all", "refuses-at-once", "answers-in-time", "drains", "lossless"],
    x,
    panels: [
      {
        left: { label: "requests per second", min: 0 },
        series: [
          {
            label: "sent",
            role: "offered",
            kind: "line",
            points: perSecond(
              requests.map(({ sentMs }) => sentMs),
              windowMs,
            ),
          },
          { label: "202 accepted", role: "done", kind: "line", points: times(202) },
          { label: "429 refused", role: "bad", kind: "line", points: times(429) },
          {
            label: "no answer",
            role: "other",
            kind: "line",
            dashed: true,
            points: perSecond(
              requests.filter(({ status }) => status === 0).map(({ sentMs }) => sentMs),
              windowMs,
            ),
          },
        ],
      },
      {
        left: { label: "wait for the answer (ms)", scale: "log" },
        series: [
          { label: "202, half", role: "done", kind: "line", dashed: true, points: waits(202, 0.5) },
          { label: "202, 99 %", role: "done", kind: "line", points: waits(202, 0.99) },
          { label: "429, 99 %", role: "bad", kind: "line", points: waits(429, 0.99) },
        ],
      },
    ],
    bands: bandsOf(evidence.record),
    marks: [{ label: "SIGTERM", at: evidence.seen.toldToStopMs / 1_000 }],
  };
}

function memoryChart(evidence: EdgeEvidence): Chart {
  const { requests, storedMs, messageBytes } = flowOf(evidence);
  const events = requests.filter(({ malformation }) => malformation === undefined);
  const endMs = evidence.record.settled.atMs;
  const looks = Array.from({ length: Math.floor(endMs / windowMs) + 1 }, (_, i) => i * windowMs);
  const upTo = (times: readonly number[], at: number) => times.filter((one) => one <= at).length;
  const sent = events.map(({ sentMs }) => sentMs);
  return {
    id: "memory",
    title: "Does the worker's memory grow with what it cannot store?",
    caption:
      "What was sent and not stored so far, and the worker's resident memory, in the same unit. An edge that refuses stays flat while the sum climbs; in one that buffers, or lets requests wait, both climb together.",
    criteria: ["bounded-memory"],
    x,
    panels: [
      {
        left: { label: "MB", min: 0 },
        series: [
          {
            label: "sent and not stored",
            role: "lag",
            kind: "area",
            points: looks.map(
              (at) =>
                [at / 1_000, ((upTo(sent, at) - upTo(storedMs, at)) * messageBytes) / megabyte] as const,
            ),
          },
          ...evidence.record.workers.map(({ id, samples }, i) => ({
            label: `memory of ${id} (RSS)`,
            role: i === 0 ? ("memory" as const) : ("other" as const),
            kind: "line" as const,
            points: samples
              .filter(({ atMs }) => atMs >= 0 && atMs <= endMs)
              .map(({ atMs, rssBytes }) => [atMs / 1_000, rssBytes / megabyte] as const),
          })),
        ],
      },
    ],
    bands: bandsOf(evidence.record),
  };
}
