/** The pictures of the idempotency lab, as data. */
import type { Chart, Series } from "../../harness/report/chart.ts";
import { balances } from "../../harness/verdict/budgets.ts";
import { isUnread } from "../../harness/verdict/delivery.ts";
import { copiesSent, effectsOf, redeliveredBy } from "../../harness/verdict/effects.ts";
import type { Evidence } from "../../harness/verdict/evidence.ts";
import { lagOverTime } from "../../harness/verdict/timing.ts";

type Point = readonly [x: number, y: number];

const x = { label: "time since the load began (s)" };
const effectTables = ["ledger", "declined"];
const tablesOf = (evidence: Evidence) => effectTables.map((name) => evidence.table(name));
const kills = (evidence: Evidence) => evidence.faults("kill-worker");

/** Effects of an event by how often it was delivered, beside a worker without protection. */
export function effectsChart(evidence: Evidence): Chart {
  const unprotected = evidence.arm("unprotected");
  const protectedOnes = effectsByDeliveries(evidence);
  const others = unprotected === undefined ? undefined : effectsByDeliveries(unprotected);
  return {
    id: "effects",
    title: "Does an event have one effect, however often it is delivered?",
    caption:
      "Events by how often they were delivered: copies that were sent, and redeliveries after kills. Each point is their mean number of effects, the upright bar the fewest and the most. " +
      (others === undefined
        ? "A worker without protection lies on the diagonal; the full profile runs one beside this one."
        : "Beside it a plain insert with the same seed: the same events, the same copies."),
    criteria: ["one-effect-per-key", "race-safe", "crash-safe"],
    x: { label: "deliveries of an event" },
    panels: [
      {
        left: {
          label: "effects of an event",
          min: 0,
          max: Math.max(2, ...mostOf(protectedOnes), ...mostOf(others)),
        },
        series: [
          { label: "this worker", role: "done", kind: "line", ...protectedOnes },
          ...(others === undefined
            ? []
            : [{ label: "plain insert", role: "bad", kind: "line", dashed: true, ...others } as const]),
        ],
        limits: [{ label: "one effect", value: 1 }],
      },
    ],
  };
}

const mostOf = (one: Pick<Series, "spread"> | undefined): number[] =>
  (one?.spread ?? []).map(([, most]) => most);

function effectsByDeliveries(evidence: Evidence): Pick<Series, "points" | "spread"> {
  const deliveries = new Uint16Array(evidence.planned);
  const count = (message: number): void => {
    const { copyOf = message, copy } = evidence.place(message);
    if (copy?.conflicting !== true) deliveries[copyOf] = (deliveries[copyOf] ?? 0) + 1;
  };
  for (let i = 0; i < evidence.planned; i += 1) if (evidence.acknowledged(i)) count(i);
  for (const kill of kills(evidence)) for (const i of redeliveredBy(evidence, kill, effectTables)) count(i);
  const tables = tablesOf(evidence);
  const groups = new Map<number, number[]>();
  for (const [i, times] of deliveries.entries()) {
    // What nobody came to says nothing about how it is treated.
    if (times === 0 || isUnread(evidence, i)) continue;
    const group = groups.get(times) ?? [];
    group.push(effectsOf(tables, i));
    groups.set(times, group);
  }
  const sorted = [...groups].sort(([a], [b]) => a - b);
  return {
    points: sorted.map(([times, effects]) => [
      times,
      effects.reduce((sum, n) => sum + n, 0) / effects.length,
    ]),
    spread: sorted.map(([, effects]) => [Math.min(...effects), Math.max(...effects)]),
  };
}

/** Deliveries against effects over time. */
export function deliveriesChart(evidence: Evidence): Chart {
  const { ackedMs } = evidence.record.ledger;
  const copies = new Set(copiesSent(evidence));
  const again = kills(evidence).flatMap((kill) =>
    redeliveredBy(evidence, kill, effectTables).map(() => kill.healMs),
  );
  const delivered = [...ackedMs.filter((at) => at >= 0), ...again];
  const events = ackedMs.filter((at, i) => at >= 0 && !copies.has(i));
  const effects = tablesOf(evidence).flatMap(({ rows }) =>
    rows.map(({ committedMs }) => committedMs ?? Number.NaN),
  );
  return {
    id: "deliveries",
    title: "Do effects follow events, and not deliveries?",
    caption:
      "So far: messages delivered (copies and redeliveries among them), different events, and effects in ledger and declined. Effects must lie on the line of events; every step towards the line of deliveries is money spent twice.",
    criteria: ["duplicates-delivered", "one-effect-per-key", "lossless"],
    x,
    panels: [
      {
        left: { label: "so far", min: 0 },
        series: [
          { label: "deliveries", role: "offered", kind: "line", points: soFar(delivered) },
          { label: "different events", role: "committed", kind: "line", dashed: true, points: soFar(events) },
          { label: "effects", role: "done", kind: "line", points: soFar(effects) },
        ],
      },
    ],
  };
}

/** How many of these moments have passed, every quarter of a second. */
function soFar(momentsMs: readonly number[]): Point[] {
  const sorted = momentsMs.filter((at) => at >= 0).sort((a, b) => a - b);
  const points: Point[] = [[0, 0]];
  const endMs = sorted.at(-1) ?? 0;
  let passed = 0;
  for (let at = 250; at < endMs + 250; at += 250) {
    while (passed < sorted.length && (sorted[passed] ?? 0) <= at) passed += 1;
    points.push([at / 1000, passed]);
  }
  return points;
}

/** Where kills fell. */
export function killsChart(evidence: Evidence): Chart {
  const kinds = [
    { meets: "write", label: "between the two commits", role: "bad" },
    { meets: "transaction", label: "in a transaction", role: "latency" },
    { meets: "anything", label: "at any moment", role: "other" },
  ] as const;
  const dots = kinds.map(({ meets, label, role }) => ({
    label,
    role,
    kind: "dots" as const,
    points: kills(evidence)
      .filter((kill) => kill.meets === meets)
      .map((kill) => [kill.startMs / 1000, redeliveredBy(evidence, kill, effectTables).length] as const),
  }));
  const most = Math.max(10, ...dots.flatMap(({ points }) => points.map(([, y]) => y)));
  return {
    id: "kills",
    title: "What did each kill bring back?",
    caption:
      "Each dot is a SIGKILL: at its height, how many messages the dead worker had been given and not committed, as far as its rows tell. Below, the group's lag: it grows until the dead worker's session has timed out.",
    criteria: ["crash-safe", "duplicates-delivered"],
    x,
    panels: [
      {
        left: { label: "delivered again (messages)", min: 0, max: Math.ceil(most * 1.1) },
        series: dots,
      },
      {
        left: { label: "lag (messages)", min: 0 },
        series: [
          {
            label: "lag",
            role: "lag",
            kind: "area",
            points: lagOverTime(evidence).map(({ atMs, lagMessages }) => [atMs / 1000, lagMessages] as const),
          },
        ],
      },
    ],
  };
}

/** Spent against budget for each account, at the end. */
export function budgetsChart(evidence: Evidence): Chart {
  const accounts = [...(balances(evidence, "accounts").at(-1)?.accounts.values() ?? [])];
  const shares = accounts.map(({ budget, spent }) => percent(spent, budget));
  const declined = new Array<number>(accounts.length).fill(0);
  for (const { values } of evidence.table("declined").rows) {
    const account = Number(values[1]?.slice("acct-".length));
    declined[account] = (declined[account] ?? 0) + 1;
  }
  return {
    id: "budgets",
    title: "Is any budget exceeded, and is it used before payments are declined?",
    caption:
      "Each dot is an account at the end of the run. Four kinds of budget take turns: a small one, a larger one, one for large payments, and one that is never used up. Below, the payments that had no room.",
    criteria: ["budget-respected"],
    x: { label: "account", min: -1, max: accounts.length },
    panels: [
      {
        left: { label: "spent (% of budget)", min: 0, max: Math.max(120, ...shares) },
        series: [
          {
            label: "spent",
            role: "done",
            kind: "dots",
            points: shares.map((share, i) => [i, share] as const),
          },
        ],
        limits: [{ label: "budget", value: 100 }],
      },
      {
        left: { label: "declined (events)", min: 0 },
        series: [
          { label: "declined", role: "other", kind: "dots", points: declined.map((n, i) => [i, n] as const) },
        ],
      },
    ],
  };
}

const percent = (part: bigint, whole: bigint): number => Number((part * 10_000n) / (whole || 1n)) / 100;

/** Whether the books balance, at every look. */
export function booksChart(evidence: Evidence): Chart {
  const samples = balances(evidence, "accounts");
  const off = samples.map(({ atMs, accounts }) => {
    const all = [...accounts.values()];
    return {
      at: atMs / 1000,
      unbalanced: all.filter(({ spent, booked }) => spent !== booked).length,
      over: all.filter(({ budget, spent, booked }) => spent > budget || booked > budget).length,
      used: all.filter(({ budget, spent }) => spent * 10n >= budget * 9n).length,
    };
  });
  return {
    id: "books",
    title: "Do the books balance in every snapshot?",
    caption:
      "Ten snapshots a second over all accounts. Above, accounts whose spent is not the sum of their ledger, and accounts over their budget: both must stay at zero, also in the middle of a batch and after a kill. Below, accounts that have used 90 % of their budget.",
    criteria: ["budget-respected", "replay-harmless"],
    x,
    panels: [
      {
        left: {
          label: "accounts with wrong books",
          min: 0,
          max: Math.max(4, ...off.map(({ unbalanced, over }) => Math.max(unbalanced, over))),
        },
        series: [
          {
            label: "off balance",
            role: "bad",
            kind: "step",
            points: off.map(({ at, unbalanced }) => [at, unbalanced] as const),
          },
          {
            label: "over budget",
            role: "latency",
            kind: "step",
            dashed: true,
            points: off.map(({ at, over }) => [at, over] as const),
          },
        ],
      },
      {
        left: { label: "accounts at 90 % of their budget", min: 0 },
        series: [
          {
            label: "budget used up",
            role: "committed",
            kind: "step",
            points: off.map(({ at, used }) => [at, used] as const),
          },
        ],
      },
    ],
    ...(evidence.record.replay === undefined
      ? {}
      : { marks: [{ label: "replay", at: evidence.record.replay.startMs / 1000 }] }),
  };
}
