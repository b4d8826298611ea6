/** The pictures of the dlq lab, as data. */
import type { Chart, Role } from "../../harness/report/chart.ts";
import { bandsOf } from "../../harness/report/series.ts";
import type { Evidence } from "../../harness/verdict/evidence.ts";
import { healthyLatencies } from "./criteria-letters.ts";
import { classes, classOf } from "./criteria-poison.ts";
import { type LetterRow, lastWith, lettersAt, stepOf } from "./criteria-steps.ts";

const x = { label: "time since the load began (s)" };
type Point = readonly [x: number, y: number];

/** Letters dead, resolved and purged: by their commit times while the load lasts, then as each step left them. */
export function depthChart(evidence: Evidence): Chart {
  const { record } = evidence;
  const buried = evidence
    .table("dead_letters")
    .rows.flatMap(({ committedMs }) => (committedMs === null ? [] : [committedMs]))
    .sort((a, b) => a - b);
  const steps = (record.operation ?? []).flatMap((step) => {
    const letters = lettersAt(evidence, step);
    return letters === undefined ? [] : [{ at: step.endMs / 1_000, letters }];
  });
  const after = (...states: string[]): Point[] =>
    steps.map(
      ({ at, letters }) => [at, letters.filter(({ state }) => states.includes(state)).length] as const,
    );
  const windowMs = evidence.parameter("alertWindowMs");
  return {
    id: "depth",
    title: "How many dead letters are there, who is told, and what does the operator make of them?",
    caption:
      "Above: letters that are dead, resolved and purged. They grow with the load, burst included; then the operator works them off. Below: letters in the last window, and the threshold of the alert. The alert must be marked within 2 s of the crossing and once; a worker that swallows leaves both panels empty.",
    criteria: ["each-poison-once", "alert", "replay-once", "purge-audited"],
    x,
    panels: [
      {
        left: { label: "letters", min: 0 },
        series: [
          {
            label: "dead or on its way",
            role: "bad",
            kind: "step",
            points: [...buried.map((at, i) => [at / 1_000, i + 1] as const), ...after("dead", "replaying")],
          },
          { label: "resolved", role: "done", kind: "step", points: after("resolved") },
          { label: "purged", role: "other", kind: "step", points: after("purged") },
        ],
      },
      {
        left: { label: `letters in ${windowMs / 1_000} s`, min: 0 },
        series: [{ label: "in the window", role: "lag", kind: "area", points: inWindow(buried, windowMs) }],
        limits: [{ label: "the alert fires", value: evidence.parameter("alertThreshold") }],
      },
    ],
    bands: bandsOf(record),
    marks: [...alertMarks(evidence), ...operatorMarks(evidence)],
  };
}

/** Every 50 ms, so that what leaves the window shows as well as what enters it. */
function inWindow(sorted: readonly number[], windowMs: number): Point[] {
  const points: Point[] = [];
  const end = (sorted.at(-1) ?? 0) + windowMs + 100;
  let from = 0;
  let to = 0;
  for (let at = 0; at <= end; at += 50) {
    while (to < sorted.length && (sorted[to] ?? 0) <= at) to += 1;
    while (from < to && (sorted[from] ?? 0) <= at - windowMs) from += 1;
    points.push([at / 1_000, to - from]);
  }
  return points;
}

function alertMarks({ record }: Evidence): { label: string; at: number }[] {
  return (record.alerts ?? []).slice(0, 6).map(({ atMs, body }) => {
    const status = typeof body === "object" && body !== null && "status" in body ? String(body.status) : "?";
    return { label: status === "firing" ? "alert" : status, at: atMs / 1_000 };
  });
}

const marked = {
  edit: "edit",
  replay: "replay, killed",
  "replay after the kill": "replay",
  "replay what is resolved": "replay again",
  purge: "purge",
} as const;

function operatorMarks(evidence: Evidence): { label: string; at: number }[] {
  return Object.entries(marked).flatMap(([name, label]) => {
    const step = stepOf(evidence, name);
    return step === undefined ? [] : [{ label, at: step.endMs / 1_000 }];
  });
}

const dispositions: readonly { readonly label: string; readonly role: Role }[] = [
  { label: "replayed: has its effect", role: "done" },
  { label: "edited and replayed", role: "offered" },
  { label: "came back", role: "lag" },
  { label: "dead, not replayed", role: "other" },
  { label: "purged", role: "latency" },
  { label: "no letter", role: "bad" },
];

/** One dot a poison message: when it was due, what was wrong with it, and what became of it. */
export function dispositionChart(evidence: Evidence): Chart {
  const letters = lettersAt(evidence, lastWith(evidence, "letters")) ?? [];
  const byMessage = new Map(letters.map((letter) => [letter.message, letter]));
  const edited = stepOf(evidence, "edit")?.args?.[1];
  const points: Point[][] = dispositions.map(() => []);
  for (let i = 0; i < evidence.planned; i += 1) {
    const is = classOf(evidence.place(i));
    if (is === undefined || !evidence.acknowledged(i)) continue;
    // Spread over the height of its row, so that neighbours do not hide each other.
    const y = classes.length - classes.indexOf(is) + (((i * 0.618) % 1) - 0.5) * 0.5;
    points[dispositionOf(byMessage.get(i), edited)]?.push([(evidence.dueMs[i] ?? 0) / 1_000, y]);
  }
  return {
    id: "disposition",
    title: "What became of every poison message?",
    caption:
      "One mark for each poison message: when it was due, its class, and where it ended. Refused and exhausted ones must have their effect, but for those that the gateway never accepts: they came back. Malformed and invalid ones wait for a person. A message without a letter is lost.",
    criteria: ["each-poison-once", "replay-once", "lossless"],
    x: { ...x, min: 0, max: (evidence.record.phases.at(-1)?.endMs ?? 0) / 1_000 + 0.2 },
    panels: [
      {
        left: {
          label: "class",
          min: 0.4,
          max: classes.length + 0.6,
          ticks: classes.map((name, i) => ({ value: classes.length - i, label: name })),
        },
        series: dispositions.flatMap(({ label, role }, i) => {
          const some = points[i] ?? [];
          return some.length === 0
            ? []
            : [{ label: `${label} (${some.length})`, role, kind: "dots" as const, points: some }];
        }),
      },
    ],
    bands: bandsOf(evidence.record),
  };
}

/** Index into `dispositions`. */
function dispositionOf(letter: LetterRow | undefined, edited: string | undefined): number {
  if (letter === undefined) return 5;
  if (letter.state === "purged") return 4;
  if (letter.state === "resolved") return letter.id === edited ? 1 : 0;
  return letter.replayCount > 0 ? 2 : 3;
}

/** The share of healthy events that took longer, with and without poison beside them. */
export function latencyChart(evidence: Evidence): Chart {
  const arm = evidence.arm("without poison");
  return {
    id: "latency",
    title: "Do healthy events wait for the poison beside them?",
    caption:
      "How many of a hundred healthy events took longer than this from due time to committed row. Where a line crosses 1 % is its p99. Both lines must lie close together, left of the bound; where retries hold up what is behind them, the line with poison runs far to the right.",
    criteria: ["no-head-of-line"],
    x: { label: "from due time to committed row (ms)", scale: "log", min: 1, max: longestMs(evidence, arm) },
    panels: [
      {
        left: { label: "events that took longer (%)", scale: "log", min: 0.1, max: 100 },
        series: [
          { label: "with poison", role: "latency", kind: "line", points: slower(healthyLatencies(evidence)) },
          ...(arm === undefined
            ? []
            : [
                {
                  label: "without poison",
                  role: "offered" as const,
                  kind: "line" as const,
                  dashed: true,
                  points: slower(healthyLatencies(arm)),
                },
              ]),
        ],
        limits: [{ label: "p99", value: 1 }],
      },
    ],
    marks: [{ label: "bound of p99", at: evidence.parameter("headOfLineP99Ms") }],
  };
}

/** Shows the bound, and whatever is beyond it. */
function longestMs(...runs: readonly (Evidence | undefined)[]): number {
  const longest = runs.map((one) =>
    one === undefined ? 0 : healthyLatencies(one).filter(Number.isFinite).at(-1),
  );
  return Math.max(2_000, ...longest.map((one) => (one ?? 0) * 1.1));
}

function slower(sorted: Float64Array): Point[] {
  const finite = sorted.filter(Number.isFinite);
  return [...finite].flatMap((ms, i): Point[] => {
    const share = (100 * (sorted.length - i)) / sorted.length;
    // All of the tail, and of the many before it enough for a line.
    return share < 3 || i % Math.ceil(sorted.length / 150) === 0 ? [[Math.max(0.5, ms), share]] : [];
  });
}
