/** The charts of the simulated run. */
import type { RunRecord } from "../record/record.ts";
import type { Chart } from "./chart.ts";
import type { Point } from "./decimate.ts";
import { bandsOf, percentilesOverTime, perSecond } from "./series.ts";

interface Simulated {
  readonly record: RunRecord;
  /** When each message was due, and when its row was there. */
  readonly dueMs: readonly number[];
  readonly rowMs: readonly number[];
}

/** Rates and lag, latency on a log axis, committed offset against stored rows. */
export function simulatedCharts({ record, dueMs, rowMs }: Simulated): Chart[] {
  const everyTenthMs = Array.from({ length: 420 }, (_, index) => index * 100);
  const sent = cumulative(dueMs, everyTenthMs);
  const stored = cumulative(rowMs, everyTenthMs);
  const seconds = everyTenthMs.map((at) => at / 1_000);
  const zip = (values: readonly number[]): Point[] => seconds.map((at, index) => [at, values[index] ?? 0]);
  const committed = stored.map((count, index) => Math.max(0, Math.min(count - 40, stored[index - 2] ?? 0)));
  const samples = dueMs.map((due, index) => [due, (rowMs[index] ?? due) - due] as const);
  const [p50 = [], p99 = [], max = []] = percentilesOverTime(samples, 500, [0.5, 0.99, 1]);
  const bands = bandsOf(record);
  const x = { label: "time since load began (s)", min: 0 };
  return [
    {
      id: "in-out-lag",
      title: "Rows kept up with the load, fell silent in both fault windows, and caught up within seconds",
      caption:
        "The green line should lie on the blue one outside the shaded windows, and the lag should fall back to its baseline after each. A worker that drops messages shows a lag that never returns.",
      criteria: ["keeps-up", "survives-kill"],
      x,
      panels: [
        {
          left: { label: "rate (messages/s)" },
          series: [
            { label: "sent", role: "offered", kind: "line", points: perSecond(dueMs, 250) },
            { label: "rows", role: "done", kind: "line", points: perSecond(rowMs, 250) },
          ],
        },
        {
          left: { label: "lag (messages)" },
          series: [
            {
              label: "lag",
              role: "lag",
              kind: "area",
              points: zip(sent.map((n, i) => n - (stored[i] ?? 0))),
            },
          ],
          limits: [{ label: "back at baseline", value: 300 }],
        },
      ],
      bands,
      marks: [{ label: "group stable again", at: 23.3 }],
    },
    {
      id: "latency",
      title: "From due time to row took milliseconds, except while the worker or the database was away",
      caption:
        "Each point is one half second of messages, by when they were due. Outside the shaded windows p99 has to stay below the dashed line.",
      criteria: ["fresh"],
      x,
      panels: [
        {
          left: { label: "latency from due time to row (ms)", scale: "log" },
          series: [
            { label: "p50", role: "latency", kind: "line", points: p50 },
            { label: "p99", role: "latency", kind: "line", points: p99 },
            { label: "max", role: "latency", kind: "line", points: max },
          ],
          limits: [{ label: "p99 limit, 1,000 ms", value: 1_000 }],
        },
      ],
      bands,
    },
    {
      id: "committed-behind-stored",
      title: "The committed offset never ran ahead of the stored rows",
      caption:
        "The stepped line is what the group has committed; it must never rise above the stored rows. A worker that commits first crosses it, and a kill at that moment loses messages.",
      criteria: ["commit-behind-write", "one-row-per-event", "survives-kill"],
      x,
      panels: [
        {
          left: { label: "messages" },
          series: [
            {
              label: "acknowledged by the broker",
              role: "offered",
              kind: "line",
              points: zip(sent),
              dashed: true,
            },
            { label: "stored rows", role: "done", kind: "line", points: zip(stored) },
            { label: "committed offset", role: "committed", kind: "step", points: zip(committed) },
          ],
        },
      ],
      bands,
    },
  ];
}

function cumulative(timesMs: readonly number[], atMs: readonly number[]): number[] {
  const sorted = [...timesMs].sort((a, b) => a - b);
  let passed = 0;
  return atMs.map((at) => {
    while ((sorted[passed] ?? Number.POSITIVE_INFINITY) <= at) passed++;
    return passed;
  });
}
