/** The pictures of the ingest lab, as data. */
import type { Chart } from "../../harness/report/chart.ts";
import { bandsOf, percentilesOverTime, perSecond } from "../../harness/report/series.ts";
import type { Evidence } from "../../harness/verdict/evidence.ts";
import { backlogOverTime, lagBaseline } from "../../harness/verdict/timing.ts";

const x = { label: "time since the load began (s)" };

export function flowChart(evidence: Evidence): Chart {
  const { ledger } = evidence.record;
  const lag = backlogOverTime(evidence);
  const stored = evidence.lab.tables.flatMap(({ name }) => [...evidence.table(name).committedMs]);
  return {
    id: "flow",
    title: "Do rows follow messages, and does the lag come back after each disturbance?",
    caption:
      "Messages acknowledged by the broker and rows committed to the tables, per second, above the lag: what is neither stored nor committed yet. A worker that drops leaves rows below messages; one that cannot keep up leaves lag that never comes down.",
    criteria: ["lossless", "keeps-up", "survives-kill", "poison-contained"],
    x,
    panels: [
      {
        left: { label: "messages per second", min: 0 },
        series: [
          { label: "sent", role: "offered", kind: "line", points: perSecond(ledger.ackedMs, 250) },
          { label: "stored", role: "done", kind: "line", points: perSecond(stored, 250) },
        ],
      },
      {
        left: { label: "lag (messages)", min: 0 },
        series: [
          {
            label: "lag",
            role: "lag",
            kind: "area",
            points: lag.map(({ atMs, lagMessages }) => [atMs / 1000, lagMessages] as const),
          },
        ],
        limits: [{ label: "baseline", value: Math.round(lagBaseline(evidence, lag).limit) }],
      },
    ],
    bands: bandsOf(evidence.record),
  };
}

export function latencyChart(evidence: Evidence): Chart {
  const { committedMs } = evidence.table("payments");
  const samples: [number, number][] = [];
  for (const [i, at] of committedMs.entries()) {
    const due = evidence.dueMs[i] ?? 0;
    if (!Number.isNaN(at)) samples.push([due, Math.max(0.1, at - due)]);
  }
  const percentiles = percentilesOverTime(samples, 500, [0.5, 0.99, 1]);
  return {
    id: "latency",
    title: "Are rows fresh outside the fault windows?",
    caption:
      "From when an event was due to when its row was committed, by the time it was due. Inside a fault window the delay is what the fault cost; outside it, p99 must stay below the line.",
    criteria: ["fresh", "survives-kill"],
    x,
    panels: [
      {
        left: { label: "due time to committed row (ms)", scale: "log", min: 1 },
        series: [
          { label: "p50", role: "done", kind: "line", points: percentiles[0] ?? [] },
          { label: "p99", role: "latency", kind: "line", points: percentiles[1] ?? [] },
          { label: "slowest", role: "other", kind: "dots", points: percentiles[2] ?? [] },
        ],
        limits: [{ label: "bound of p99", value: evidence.parameter("freshP99Ms") }],
      },
    ],
    bands: bandsOf(evidence.record),
  };
}

export function commitsChart(evidence: Evidence): Chart {
  const { commitSamples } = evidence.record;
  const stored = evidence.lab.tables
    .flatMap(({ name }) => [...evidence.table(name).committedMs])
    .filter((at) => !Number.isNaN(at))
    .sort((a, b) => a - b);
  let known = 0;
  const points = commitSamples.map(({ atMs, committed, missing }) => {
    while (known < stored.length && (stored[known] ?? 0) <= atMs) known += 1;
    const done = committed.reduce((sum, offset) => sum + Math.max(0, offset), 0);
    return { at: atMs / 1000, committed: done, ahead: known - done, missing: missing.length };
  });
  return {
    id: "commits",
    title: "Do offsets stay behind the rows they stand for?",
    caption:
      "Above: messages stored and messages below the committed offset. Below: how many stored messages were not yet committed at each look; below zero, offsets would cover messages that are in no table. Vertical distance at a kill is what is delivered again.",
    criteria: ["commit-behind-write", "one-row-per-event"],
    x,
    panels: [
      {
        left: { label: "messages", min: 0 },
        series: [
          {
            label: "stored",
            role: "done",
            kind: "line",
            points: points.map(({ at, committed, ahead }) => [at, committed + ahead] as const),
          },
          {
            label: "committed",
            role: "committed",
            kind: "step",
            dashed: true,
            points: points.map(({ at, committed }) => [at, committed] as const),
          },
        ],
      },
      {
        left: { label: "stored, not committed" },
        series: [
          {
            label: "stored, not yet committed",
            role: "committed",
            kind: "step",
            points: points.map(({ at, ahead }) => [at, ahead] as const),
          },
          {
            label: "committed before stored",
            role: "bad",
            kind: "dots",
            points: points
              .filter(({ missing }) => missing > 0)
              .map(({ at, missing }) => [at, -missing] as const),
          },
        ],
        limits: [{ label: "0: nothing stored waits", value: 0 }],
      },
    ],
    bands: bandsOf(evidence.record),
  };
}
