import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Chart } from "./chart.ts";
import { writeIndex } from "./index-page.ts";
import { simulatedRun } from "./testing.ts";
import { cannotWrite, writeReport, writeWhole } from "./write.ts";

let reports: string;

beforeEach(async () => {
  reports = await mkdtemp(join(tmpdir(), "sluice-report-"));
});

afterEach(async () => {
  await rm(reports, { recursive: true, force: true });
});

const charts: readonly Chart[] = [
  {
    id: "main",
    title: "One line",
    caption: "",
    criteria: ["lossless"],
    x: { label: "time (s)" },
    panels: [
      {
        left: { label: "y" },
        series: [
          {
            label: "y",
            role: "done",
            kind: "line",
            points: [
              [0, 1],
              [1, 2],
            ],
          },
        ],
      },
    ],
  },
];

async function report(
  lab: string,
  run: string,
  change: { startedAt?: number; outcome?: "pass" | "fail" } = {},
) {
  const { record, verdict } = simulatedRun(change.outcome);
  const startedAt = change.startedAt ?? record.startedAt;
  return await writeReport({
    folder: join(reports, lab, run),
    record: { ...record, startedAt },
    verdict: { ...verdict, lab },
    charts,
  });
}

test("a report is a page, a verdict and a picture for each chart, and nothing half-written beside them", async () => {
  const { page, chartFiles, problems } = await report("ingest", "a");
  const folder = join(reports, "ingest", "a");
  expect(page).toBe(join(folder, "index.html"));
  expect(chartFiles).toEqual([join(folder, "charts", "main.png")]);
  expect(problems).toEqual([]);
  expect((await readdir(folder)).sort()).toEqual(["charts", "index.html", "verdict.json"]);
  expect(await readdir(join(folder, "charts"))).toEqual(["main.png"]);
  expect((await readFile(join(folder, "charts", "main.png"))).subarray(1, 4).toString()).toBe("PNG");
});

test("verdict.json holds the verdict as it was judged", async () => {
  await report("ingest", "a", { outcome: "fail" });
  const { run, ...verdict } = JSON.parse(
    await readFile(join(reports, "ingest", "a", "verdict.json"), "utf8"),
  );
  expect(verdict).toEqual({ ...simulatedRun("fail").verdict, lab: "ingest" });
  expect(run.charts).toEqual([{ title: "One line", file: "charts/main.png" }]);
});

test("a chart that cannot be drawn is a problem and a word on the page, and the rest is written", async () => {
  const { record, verdict } = simulatedRun();
  const broken: Chart = { ...(charts[0] as Chart), id: "broken", panels: [] };
  const written = await writeReport({
    folder: join(reports, "x"),
    record,
    verdict,
    charts: [broken, ...charts],
  });
  expect(written.problems).toEqual(['chart "broken" could not be drawn: chart "broken" has no panels']);
  expect(written.chartFiles).toHaveLength(1);
  expect(await readFile(written.page, "utf8")).toContain("This chart could not be drawn");
});

test("a folder that cannot be written to is one error that names it and says why", async () => {
  await writeFile(join(reports, "file"), "");
  const { record, verdict } = simulatedRun();
  const folder = join(reports, "file", "run");
  await expect(writeReport({ folder, record, verdict, charts })).rejects.toThrow(
    `cannot write the report to ${folder}: a part of the path is a file, not a folder (ENOTDIR)`,
  );
});

test("a full disk is said in words", () => {
  const error = Object.assign(new Error("write"), { code: "ENOSPC" });
  expect(cannotWrite("/reports", error).message).toBe(
    "cannot write the report to /reports: the disk is full (ENOSPC)",
  );
});

test("a file that could not be replaced keeps what it held, and leaves no temporary file", async () => {
  const path = join(reports, "kept");
  await mkdir(path);
  await expect(writeWhole(path, "new")).rejects.toThrow();
  expect(await readdir(reports)).toEqual(["kept"]);
});

test("the index shows the latest run of each lab and counts the older ones", async () => {
  await report("ingest", "old", { startedAt: 1_000, outcome: "fail" });
  await report("ingest", "new", { startedAt: 9_000_000 });
  await report("ingest", "older", { startedAt: 10 });
  await report("dlq", "only", { outcome: "fail" });
  const page = await readFile(await writeIndex(reports), "utf8");
  expect(page).toContain("2 labs: 1 passed and 1 failed");
  expect(page).toContain('href="ingest/new/index.html"');
  expect(page).not.toContain("ingest/old");
  expect(page).toContain("2 older runs");
  expect(page).toContain('src="ingest/new/charts/main.png"');
  expect(page).toMatch(/<li class="chip fail">one-row-per-event<\/li>/);
});

test("broken and foreign folders are skipped with a word, and bring no markup in", async () => {
  await report("ingest", "good");
  const put = async (folder: string, content?: string) => {
    await mkdir(join(reports, folder), { recursive: true });
    if (content !== undefined) await writeFile(join(reports, folder, "verdict.json"), content);
  };
  await put("ingest/empty");
  await put("ingest/torn", '{"lab": "ing');
  await put("ingest/foreign", '{"name": "something else"}');
  await put("ingest/<img src=x>", "null");
  const evil = {
    ...simulatedRun().verdict,
    run: { startedAt: 0, profile: "full", charts: [{ title: "", file: "../../secret.png" }] },
  };
  await put("ingest/outside", JSON.stringify(evil));
  await writeFile(join(reports, "stray.txt"), "");
  const page = await readFile(await writeIndex(reports), "utf8");
  expect(page).toContain('href="ingest/good/index.html"');
  expect(page).toContain("<code>ingest/empty</code>: it has no verdict.json");
  expect(page).toContain("<code>ingest/torn</code>: verdict.json is not whole");
  expect(page).toMatch(/<code>ingest\/foreign<\/code>: verdict\.json is not one of a run: lab/);
  expect(page).toMatch(
    /<code>ingest\/outside<\/code>: verdict\.json is not one of a run: run\.charts\.0\.file/,
  );
  expect(page).toContain("&lt;img src=x&gt;");
  expect(page).not.toContain("<img src=x>");
  expect(page).not.toContain("secret");
});

test("a reports folder that is not there yet gets an index that says so", async () => {
  const page = await readFile(await writeIndex(join(reports, "new")), "utf8");
  expect(page).toContain("No runs yet");
});
