/** The judge of the alert: in time, once, with what a person needs at night, and over when it is over. */
import { z } from "zod";
import type { Criterion } from "../../harness/lab.ts";
import { seconds } from "../../harness/verdict/delivery.ts";
import type { Evidence } from "../../harness/verdict/evidence.ts";
import { timerAllowanceMs } from "../../harness/verdict/host.ts";
import { classes } from "./criteria-poison.ts";

/** A look of the worker and the commit of a batch lie that far apart. */
const slackMs = 300;
/** A window of the worker's clock holds a few letters more or less than the one of the commit times beside it. */
const tolerance = 0.2;

/** What a worker posts; more fields are welcome. */
const posted = z.object({
  id: z.string().min(1),
  status: z.enum(["firing", "resolved"]),
  classes: z.record(z.string(), z.number()),
  examples: z.array(z.object({ id: z.string(), class: z.string() })),
  runbook: z.string().min(1),
});

interface Crossings {
  /** When the letters of the last window reached the threshold; undefined when they never did. */
  readonly crossedMs: number | undefined;
  /** When they had been below half of it, for good. */
  readonly overMs: number | undefined;
  /** The most in one window. */
  readonly most: number;
  /** The most in a window that ended by then. */
  mostBy(ms: number): number;
  /** The fewest in a window that ended between the two. */
  fewestIn(fromMs: number, toMs: number): number;
}

/** From the commit times of the letters. */
function crossingsOf(evidence: Evidence): Crossings {
  const threshold = evidence.parameter("alertThreshold");
  const windowMs = evidence.parameter("alertWindowMs");
  const at = [...evidence.table("dead_letters").rows.map(({ committedMs }) => committedMs ?? Number.NaN)]
    .filter((one) => !Number.isNaN(one))
    .sort((a, b) => a - b);
  const endingAt = (ms: number) => at.filter((one) => one > ms - windowMs && one <= ms).length;
  const mostBy = (ms: number) => Math.max(0, ...at.filter((one) => one <= ms).map(endingAt));
  const most = mostBy(Number.POSITIVE_INFINITY);
  const crossedMs = at.find((one) => endingAt(one) >= threshold);
  // Half the threshold are within a window for the last time until the first of them leaves it.
  const least = Math.ceil(threshold / 2);
  let overMs: number | undefined;
  for (let i = at.length - 1; i >= least - 1 && overMs === undefined; i -= 1) {
    const first = at[i - least + 1] ?? 0;
    if ((at[i] ?? 0) - first < windowMs) overMs = first + windowMs;
  }
  // It only falls when a letter leaves the window.
  const fewestIn = (fromMs: number, toMs: number) => {
    const left = at.map((one) => one + windowMs).filter((one) => one > fromMs && one < toMs);
    return Math.min(...[fromMs, ...left, toMs].map(endingAt));
  };
  return { crossedMs, overMs, most, mostBy, fewestIn };
}

export const alert: Criterion = {
  id: "alert",
  claim:
    "An alert comes within 2 s of the rate crossing its threshold, names the classes and the runbook, does not repeat while it stands, and resolves.",
  timing: true,
  judge(evidence) {
    const withinMs = evidence.parameter("alertWithinMs") + timerAllowanceMs(evidence.record.host);
    const threshold = evidence.parameter("alertThreshold");
    const { crossedMs, overMs, most, mostBy, fewestIn } = crossingsOf(evidence);
    const leastToFire = threshold * (1 - tolerance);
    const mostToResolve = (threshold / 2) * (1 + tolerance);
    const came = evidence.record.alerts ?? [];
    const base = { threshold: `<= ${withinMs}`, unit: "ms after the rate crossed", samples: came.length };
    const fail = (detail: string, measured: number | null, excusable = false) => ({
      ...base,
      measured,
      verdict: "fail" as const,
      inexcusable: !excusable,
      detail,
      expected:
        "one POST to ALERT_URL when it begins and one when it is over, with classes, examples and runbook",
      lookAt: "what the monitor counts, and where it keeps whether it has fired",
    });
    if (evidence.table("dead_letters").committedMs.every(Number.isNaN)) {
      return {
        ...base,
        measured: null,
        verdict: "unknown",
        detail: "There were no letters, or the database keeps no commit times.",
      };
    }
    if (crossedMs === undefined) {
      return came.length > 0 && most < leastToFire
        ? fail(
            `An alert came, though there were never more than ${most} letters in a window (threshold ${threshold}).`,
            null,
          )
        : {
            ...base,
            measured: null,
            verdict: "unknown",
            detail: `There were never more than ${most} letters in a window (threshold ${threshold}).`,
          };
    }
    const alerts = came.map(({ atMs, body }) => ({ atMs, read: posted.safeParse(body) }));
    const unreadable = alerts.find(({ read }) => !read.success);
    if (unreadable !== undefined) {
      const issue = unreadable.read.error?.issues[0];
      return fail(
        `What was posted at ${seconds(unreadable.atMs)} is no alert: ${issue?.path.join(".")}: ${issue?.message}.`,
        null,
      );
    }
    const told = alerts.flatMap(({ atMs, read }) =>
      read.data === undefined ? [] : [{ atMs, ...read.data }],
    );
    const first = told.find(({ status }) => status === "firing");
    if (first === undefined)
      return fail(`The rate crossed its threshold at ${seconds(crossedMs)}, and no alert came.`, null);
    const measured = Math.round(first.atMs - crossedMs);
    const mostBefore = mostBy(first.atMs + slackMs);
    if (mostBefore < leastToFire) {
      return fail(
        `The alert came at ${seconds(first.atMs)}, when there had never been more than ${mostBefore} letters in a window (threshold ${threshold}).`,
        measured,
      );
    }
    const repeated = told.find((one, i) => one.status === "firing" && told[i - 1]?.status === "firing");
    if (repeated !== undefined)
      return fail(`The alert was repeated at ${seconds(repeated.atMs)}, while it stood.`, measured);
    const nameless = Object.keys(first.classes).filter((name) => !classes.some((one) => one === name));
    if (Object.keys(first.classes).length === 0 || nameless.length > 0 || first.examples.length === 0) {
      return fail(
        `The alert does not say what it is about: classes ${JSON.stringify(first.classes)}, ${first.examples.length} examples.`,
        measured,
      );
    }
    if (measured > withinMs)
      return fail(`The alert came ${measured} ms after the rate had crossed its threshold.`, measured, true);
    const last = told.at(-1);
    if (
      last?.status !== "resolved" ||
      !told.some(({ id, status }) => id === last.id && status === "firing")
    ) {
      const watchedMs = evidence.record.finishedMs - (overMs ?? Number.POSITIVE_INFINITY);
      return watchedMs < withinMs
        ? {
            ...base,
            measured,
            verdict: "unknown",
            detail: `The run ended ${Math.round(watchedMs)} ms after the rate had fallen.`,
          }
        : fail(
            `The rate was low again at ${seconds(overMs ?? 0)}, and the alert was not resolved.`,
            measured,
            true,
          );
    }
    // Since it fired, and not at that moment: when the rate falls and rises again, the first fall is reason enough.
    const hasty = told.flatMap(({ status, atMs }, i) => {
      const fired = told[i - 1];
      if (status !== "resolved" || fired?.status !== "firing") return [];
      const fewest = fewestIn(fired.atMs, atMs + slackMs);
      return fewest > mostToResolve ? [{ atMs, fewest }] : [];
    })[0];
    if (hasty !== undefined) {
      return fail(
        `The alert was resolved at ${seconds(hasty.atMs)}, and there had always been ${hasty.fewest} letters or more in a window since it came (below ${threshold / 2} it is over).`,
        measured,
        true,
      );
    }
    return {
      ...base,
      measured,
      verdict: "pass",
      detail:
        `The rate crossed its threshold at ${seconds(crossedMs)} (up to ${most} letters in a window); the alert came ${measured} ms later, ` +
        `named ${Object.entries(first.classes)
          .map(([name, count]) => `${count} ${name}`)
          .join(", ")}, and was resolved at ${seconds(last.atMs)}.`,
    };
  },
};
