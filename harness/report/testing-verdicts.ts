/** What a judge would say of the simulated run: as the solution's, and as one that doubles rows. */
import type { CriterionVerdict } from "../verdict/verdict.ts";

export const held: readonly CriterionVerdict[] = [
  finding(
    "lossless",
    "every acknowledged event ended in exactly one place",
    0,
    "= 0",
    "missing events",
    132_000,
    "All 131,967 well-formed messages have a row and all 33 malformed ones a rejection.",
  ),
  finding(
    "load-offered",
    "the load was offered as planned",
    99.7,
    ">= 95",
    "% of the planned rate",
    132_000,
    "Sent 3,000/s for 36 s and 6,000/s for 4 s.",
  ),
  finding(
    "one-row-per-event",
    "no event has two rows, though the kill made redeliveries",
    0,
    "= 0",
    "events with two rows",
    131_967,
    "The kill made the broker deliver 412 messages a second time; none left a second row.",
  ),
  finding(
    "payload-intact",
    "every column of every row equals what was sent",
    0,
    "= 0",
    "rows that differ",
    131_967,
    "All columns were compared as text.",
  ),
  finding(
    "commit-behind-write",
    "at every sample, no committed offset covers an event that is in no table",
    0,
    "= 0",
    "events",
    419,
    "419 samples; each event below a committed offset was looked up.",
  ),
  finding(
    "poison-contained",
    "each malformed message is in rejected_messages once, and no worker exited because of one",
    33,
    "= 33",
    "rejections",
    33,
    "Topic, partition, offset, bytes and reason equal what was sent.",
  ),
  finding(
    "keeps-up",
    "lag is back at its baseline within 10 s after the spike",
    0.4,
    "<= 10",
    "s",
    420,
    "The baseline before the spike was 58 messages.",
  ),
  finding(
    "survives-kill",
    "rows flow again within the session timeout plus 4 s after the new worker started",
    1_950.4,
    "<= 7000",
    "ms",
    1,
    "The first row came 1,950 ms after the new worker started.",
  ),
  finding(
    "fresh",
    "p99 from due time to row, outside fault windows, is under 1 s",
    27.31,
    "<= 1000",
    "ms",
    103_200,
    "p50 16 ms, p99 27 ms, max 116 ms.",
  ),
];

function finding(
  id: string,
  claim: string,
  measured: number,
  threshold: string,
  unit: string,
  samples: number,
  detail: string,
): CriterionVerdict {
  return { id, claim, verdict: "pass", measured, threshold, unit, samples, detail };
}

export const failed: readonly CriterionVerdict[] = held.map((one) => {
  if (one.id === "one-row-per-event") {
    return {
      ...one,
      verdict: "fail",
      measured: 412,
      detail: "412 events have two rows; all of them were delivered a second time after the kill at 21.0 s.",
      offending: [
        "event 5f0c1e0a-3c1b-4f7e-9a55-0f2d8f0e7a11, sequence 37 of account acc-0112: 2 rows (partition 2, offset 15,731)",
        "event 8be1d5a2-94c6-4e0f-8a2e-6d3c9a7b1f42, sequence 41 of account acc-0007: 2 rows (partition 0, offset 15,660)",
        "event c04e7712-7d3f-4bb5-b0d1-2f9e11a3ce90, sequence 12 of account acc-0388: 2 rows (partition 1, offset 15,702)",
      ],
      expected: "one row for each event id, however often the broker delivers it",
      lookAt:
        "the INSERT of the worker: does anything (a unique key with ON CONFLICT DO NOTHING) stop a second row?",
    };
  }
  if (one.id === "fresh") {
    return {
      ...one,
      verdict: "unknown",
      measured: null,
      samples: 0,
      detail: "The host was too busy to judge times: timers fired up to 210 ms late.",
    };
  }
  return one;
});
