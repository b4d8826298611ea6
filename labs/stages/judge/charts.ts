/** The pictures of the stages, as data. */
import type { Chart, Role } from "../../../harness/report/chart.ts";
import { bandsOf } from "../../../harness/report/series.ts";
import { boundOf, outstanding, played, type StagesEvidence, workOf } from "./criteria.ts";

const roles: readonly Role[] = ["offered", "done", "bad"];
const titles: Readonly<Record<string, string>> = {
  one: "one consumer",
  three: "three, equally fast",
  slow: "three, the third one slow",
  broadcast: "broadcast, the third one slow",
  partition: "partition by key",
};

export function charts(evidence: StagesEvidence): Chart[] {
  return [whoGotWhat(evidence), demandChart(evidence)];
}

/** The drill's picture. */
function whoGotWhat(evidence: StagesEvidence): Chart {
  return {
    id: "who",
    title: "Who got which event, and when?",
    caption:
      "One row a round; each point is one event, at the moment its consumer was done with it. Equally fast consumers take turns; a slow one gets less and holds up nobody. In the broadcast every event has three points, and all go at the pace of the slowest. In the partition each key stays with its consumer, whoever else is free.",
    criteria: [
      "fair-share",
      "slow-holds-up-nobody",
      "every-event-to-every-subscriber",
      "order-per-partition",
      "lossless",
      "one-at-a-time",
    ],
    x: { label: "time since the round began (s)", min: 0 },
    panels: evidence.seen.rounds.flatMap(({ name }) => {
      const one = played(evidence, name);
      if (one === undefined) return [];
      const { round, seen } = one;
      return [
        {
          left: { label: `${titles[name] ?? name}: event`, min: 0, max: round.events },
          series: round.workMs.map((workMs, consumer) => ({
            label: `consumer ${consumer + 1}, ${workMs} ms`,
            role: roles[consumer] ?? ("other" as const),
            kind: "dots" as const,
            points: workOf(seen)
              .filter((work) => work.consumer === consumer)
              .map(({ event, toMs }) => [(toMs - seen.startMs) / 1_000, event] as const),
          })),
        },
      ];
    }),
  };
}

function demandChart(evidence: StagesEvidence): Chart {
  const maxDemand = evidence.parameter("maxDemand");
  const rounds = evidence.seen.rounds.flatMap(({ name }) => played(evidence, name) ?? []);
  return {
    id: "demand",
    title: "Is more asked for than the consumers may hold?",
    caption: `Events asked of the source and not yet handled, at each ask. The dashed line is what the consumers may hold: ${maxDemand} each, and in the broadcast, which goes at the pace of the slowest, ${maxDemand} in all. Whoever asks for everything leaves the picture.`,
    criteria: ["demand-bounded"],
    x: { label: "time since the first round began (s)" },
    panels: [
      {
        left: { label: "events asked for and not handled", min: 0 },
        series: [
          {
            label: "asked for, not handled",
            role: "lag",
            kind: "dots",
            points: rounds.flatMap((one) =>
              outstanding(one).map(({ atMs, events }) => [atMs / 1_000, events] as const),
            ),
          },
          {
            label: "may be held",
            role: "limit",
            kind: "step",
            dashed: true,
            points: rounds.flatMap(({ round, seen }) => [
              [seen.startMs / 1_000, boundOf(round, maxDemand)] as const,
              [seen.endMs / 1_000, boundOf(round, maxDemand)] as const,
            ]),
          },
        ],
      },
    ],
    bands: bandsOf(evidence.record),
  };
}
