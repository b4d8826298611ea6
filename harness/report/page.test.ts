import { expect, test } from "vitest";
import { recordSchema } from "../record/record.ts";
import type { Chart } from "./chart.ts";
import { runPage } from "./page.ts";
import type { DrawnChart } from "./page-criteria.ts";
import { dark, light, type Theme } from "./page-style.ts";
import { simulatedRun } from "./testing.ts";

/** The least a PNG needs to tell its size: 1720 x 1000. */
const png = Buffer.alloc(24);
png.writeUInt32BE(1_720, 16);
png.writeUInt32BE(1_000, 20);

function drawn(charts: readonly Chart[]): DrawnChart[] {
  return charts.map((chart) => ({ chart, file: `charts/${chart.id}.png`, wide: png, narrow: png }));
}

function page(outcome: "pass" | "fail", change: Partial<Parameters<typeof runPage>[0]> = {}): string {
  const { record, verdict, charts } = simulatedRun(outcome);
  const files = ["record.json", "verdict.json"];
  return runPage({ record, verdict, charts: drawn(charts), files, title: "Stable consumption", ...change });
}

/** What a reader sees: tags and style sheet taken away. */
function words(markup: string): string {
  return markup
    .replace(/<style>[\s\S]*?<\/style>/g, "")
    .replace(/<[^>]*>/g, " ")
    .replace(/\s+/g, " ");
}

test("the simulated run is a valid record", () => {
  expect(() => recordSchema.parse(simulatedRun().record)).not.toThrow();
});

test("the verdict comes first, as a word, and one sentence says what was proven", () => {
  expect(words(page("pass"))).toMatch(
    /Passed Stable consumption The worker solution kept all 9 promises of the ingest lab: 132,000 messages in 40\.0 s, through 2 faults \(worker killed and Postgres cut\)\./,
  );
});

test("a failed run says which promise broke, what was found, expected, and where to look", () => {
  const text = words(page("fail"));
  expect(text).toMatch(
    /Failed Stable consumption The worker plain-insert broke 1 of 9 promises: one-row-per-event \. 412 events have two rows/,
  );
  expect(text).toContain("First found event 5f0c1e0a");
  expect(text).toContain("Expected one row for each event id");
  expect(text).toContain("Look next at the INSERT of the worker");
  expect(text.indexOf("one-row-per-event no event has")).toBeLessThan(
    text.indexOf("lossless every acknowledged"),
  );
});

test("an undecided run says what could not be decided, and never that it passed", () => {
  const { verdict } = simulatedRun("fail");
  const criteria = verdict.criteria.filter((one) => one.verdict !== "fail");
  const text = words(page("fail", { verdict: { ...verdict, verdict: "unknown", criteria } }));
  expect(text).toContain(
    "Undecided Stable consumption This run of plain-insert could not decide 1 of 8 promises: fresh . The host was too busy",
  );
});

test("every criterion is shown once in full, with all its numbers", () => {
  const markup = page("fail");
  const text = words(markup);
  for (const { id, claim, detail } of simulatedRun("fail").verdict.criteria) {
    expect(markup.split(`id="criterion-${id}"`)).toHaveLength(2);
    expect(text).toContain(claim);
    expect(text).toContain(detail);
  }
  expect(text).toContain("Measured 1,950.4 ms Threshold \u2264 7,000 ms Samples 1");
  expect(text).toContain("Measured not measured Threshold \u2264 1,000 ms Samples 0");
});

test("a chart that serves several criteria is shown once, and linked from the others", () => {
  const markup = page("pass");
  for (const { id } of simulatedRun().charts) expect(markup.split(`id="chart-${id}"`)).toHaveLength(2);
  const card = markup.slice(markup.indexOf('id="criterion-survives-kill"'));
  expect(card.slice(0, card.indexOf("</article>"))).toContain('href="#chart-committed-behind-stored"');
});

test("links within the page lead somewhere", () => {
  const markup = page("fail");
  const targets = [...markup.matchAll(/href="#([^"]+)"/g)].map((match) => match[1]);
  expect(targets.length).toBeGreaterThan(8);
  for (const target of targets) expect(markup).toContain(`id="${target}"`);
});

test("nothing is fetched and nothing runs: no script, no foreign address, pictures embedded", () => {
  const markup = page("pass");
  expect(markup).not.toMatch(/<script|javascript:|https?:|url\(|@import|<link(?! rel="icon" href="data:,")/i);
  const pictures = [...markup.matchAll(/(?:src|srcset)="([^"]*)"/g)].map((match) => match[1] ?? "");
  expect(pictures).toHaveLength(6);
  for (const picture of pictures) expect(picture).toMatch(/^data:image\/png;base64,/);
});

test("whatever came from worker, rows or environment stays text", () => {
  const evil = `<script>alert("x")</script>' onload="y`;
  const { record, verdict, charts } = simulatedRun("fail");
  const markup = runPage({
    title: evil,
    files: ["record.json"],
    charts: [
      ...drawn(charts.map((chart) => ({ ...chart, title: evil, caption: evil }))),
      { chart: { ...(charts[0] as Chart), id: evil }, problem: evil },
    ],
    verdict: {
      ...verdict,
      subject: evil,
      criteria: verdict.criteria.map((one) => ({
        ...one,
        claim: evil,
        threshold: evil,
        unit: evil,
        detail: evil,
        offending: [evil],
        expected: evil,
        lookAt: evil,
      })),
    },
    record: {
      ...record,
      lab: evil,
      command: evil,
      parameters: { [evil]: evil },
      stack: { ...record.stack, why: evil, limits: [evil] },
      host: { ...record.host, cpuModel: evil },
      ledger: { ...record.ledger, errors: [evil] },
      phases: record.phases.map((phase) => ({ ...phase, name: evil })),
      faults: record.faults.map((fault) => ({ ...fault, name: evil, note: evil })),
      workers: record.workers.map((worker) => ({
        ...worker,
        id: evil,
        exit: { atMs: 1, code: 1, signal: evil, planned: false, tail: evil },
      })),
    },
  });
  expect(markup).not.toContain("<script");
  expect(markup).not.toContain('onload="');
  expect(markup.split("&lt;script&gt;").length).toBeGreaterThan(60);
});

test("a chart without picture says why, in its place", () => {
  const [chart] = simulatedRun().charts;
  const markup = page("pass", { charts: [{ chart: chart as Chart, problem: "the canvas broke" }] });
  expect(words(markup)).toContain("This chart could not be drawn: the canvas broke");
});

test("a worker that ended by itself is named at the top, with its last words", () => {
  const { record } = simulatedRun();
  const workers = record.workers.map((worker) => ({
    ...worker,
    exit: { atMs: 12_345, code: 1, signal: null, planned: false, tail: "TypeError: x is undefined" },
  }));
  const text = words(page("fail", { record: { ...record, workers } }));
  expect(text).toMatch(
    /worker-1 ended by itself with exit code 1 at 12\.3 s\. Its last words: TypeError: x is undefined/,
  );
  expect(text.indexOf("ended by itself")).toBeLessThan(text.indexOf("Promises Verdict"));
});

test("a run that never came to its load still has a page", () => {
  const { record, verdict } = simulatedRun();
  const text = words(
    page("pass", {
      record: {
        ...record,
        phases: [],
        faults: [],
        workers: [],
        finishedMs: 0,
        ledger: { ...record.ledger, planned: 0, ackedMs: [] },
      },
      verdict: { ...verdict, verdict: "unknown", criteria: [] },
      charts: [],
    }),
  );
  expect(text).toContain("Undecided");
  expect(text).not.toMatch(/NaN|Infinity|undefined/);
});

test("the run can be repeated from the page: command, seed, versions, parameters, host, files", () => {
  const markup = page("pass");
  const text = words(markup);
  expect(text).toContain("npm run lab -- ingest --subject solution --profile full --seed 1804289383");
  for (const fact of [
    "4.1.0",
    "17.6",
    "6.2.14",
    "sessionTimeoutMs 3,000",
    "2026-03-14 09:26:53 UTC",
    "20.20.0",
  ]) {
    expect(text).toContain(fact);
  }
  expect(markup).toContain('href="record.json"');
  expect(markup).toContain('href="verdict.json"');
});

test.each([
  ["light", light],
  ["dark", dark],
] as const)("text of the %s theme has contrast AA on its ground", (_, theme: Theme) => {
  const pairs = [
    ...(["ground", "card", "load", "passGround", "failGround", "unknownGround"] as const).map(
      (ground) => ["text", ground] as const,
    ),
    ...(["ground", "card"] as const).flatMap(
      (ground) =>
        [
          ["soft", ground],
          ["link", ground],
        ] as const,
    ),
    ["pass", "passGround"],
    ["fail", "failGround"],
    ["unknown", "unknownGround"],
  ] as const;
  for (const [text, ground] of pairs) {
    expect(contrast(theme[text], theme[ground]), `${text} on ${ground}`).toBeGreaterThanOrEqual(4.5);
  }
  for (const bar of ["worker", "fault", "loadEdge"] as const) {
    expect(contrast(theme[bar], theme.card), bar).toBeGreaterThanOrEqual(3);
  }
});

/** WCAG 2.2, "contrast ratio" and "relative luminance". */
function contrast(a: string, b: string): number {
  const [light = 0, dark = 0] = [luminance(a), luminance(b)].sort((one, other) => other - one);
  return (light + 0.05) / (dark + 0.05);
}

function luminance(hex: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const channel = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

test("many kills and their workers share lanes, and are told as a number", () => {
  const { record, verdict } = simulatedRun("pass");
  const [fault] = record.faults;
  const [worker] = record.workers;
  if (fault === undefined || worker === undefined) throw new Error("the simulated run has neither");
  const moments = Array.from({ length: 20 }, (_, i) => 2_000 + i * 1_500);
  const faults = moments.map((at) => ({ ...fault, startMs: at, healMs: at + 100, clearMs: at + 5_000 }));
  const workers = [0, ...moments].map((startMs, i) => ({
    ...worker,
    id: `w${i + 1}`,
    startMs,
    readyMs: startMs + 500,
    exit: { atMs: startMs + 1_400, code: null, signal: "SIGKILL", planned: true, tail: "" },
  }));
  const text = page("pass", { record: { ...record, faults, workers }, verdict });
  expect(words(text)).toContain("through 20 faults (worker killed 20 times)");
  expect(words(text)).toContain(`20 × ${fault.name}`);
  expect(words(text)).toContain("w1 … w21");
  expect(text.split('class="lane"').length - 1).toBe(3);
});
