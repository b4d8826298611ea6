/** The judge of replays: one effect for each letter, also when sent twice and when the tool died in between. */
import type { Criterion } from "../../harness/lab.ts";
import type { PaymentEvent } from "../../harness/load/messages.ts";
import type { Evidence } from "../../harness/verdict/evidence.ts";
import { unfitness } from "../../harness/verdict/host.ts";
import type { Finding } from "../../harness/verdict/verdict.ts";
import { hopeless } from "./criteria-poison.ts";
import {
  type Effects,
  effectsAt,
  type LetterRow,
  lastWith,
  lettersAt,
  printed,
  stepOf,
} from "./criteria-steps.ts";
import { maxReplays, mended } from "./operation.ts";

const shown = 5;

export const replayOnce: Criterion = {
  id: "replay-once",
  needs: ["operation"],
  claim:
    "A replayed letter has exactly one effect, also when sent again and when the replay was killed; what fails again comes back with its count, up to a cap.",
  judge(evidence): Finding {
    const base = { threshold: "= 0", unit: "letters without exactly the effect they must have" };
    const killed = stepOf(evidence, "replay");
    const letters = lettersAt(evidence, lastWith(evidence, "letters"));
    const effects = effectsAt(lastWith(evidence, "effects"));
    if (killed === undefined || letters === undefined || effects === undefined) {
      return { ...base, verdict: "unknown", measured: null, samples: 0, detail: "No letter was replayed." };
    }
    const before = lettersAt(evidence, killed) ?? [];
    const replayed = letters.filter(({ replayCount }) => replayCount > 0);
    const doubled = [...effects].filter(([, { count }]) => count > 1);
    const wrong = [
      ...(evidence.record.operation ?? [])
        .filter(({ args, killed, code }) => args?.[0] === "replay" && !killed && code !== 0)
        .map(({ name, stderr }) => `"${name}" failed: ${stderr.trim()}`),
      ...doubled.map(([eventId, { count }]) => `event ${eventId} has ${count} effects`),
      ...letters.flatMap((letter) => wronged(evidence, letter, effects)),
      ...leftOut(evidence, letters, before),
      ...mendedWrongly(evidence, letters, effects),
      ...cappedWrongly(evidence, letters),
    ];
    const found = { ...base, measured: wrong.length, samples: replayed.length };
    const halfway = before.filter(({ replayCount }) => replayCount > 0).length;
    const of = before.filter((one) => one.class === "refused" || one.class === "exhausted").length;
    if (wrong.length > 0) {
      // Not settled in time: whether the worker is to blame for that, the host decides.
      const late = evidence.record.operation?.some(({ awaited }) => awaited === false) === true;
      const unfit = late && doubled.length === 0 ? unfitness(evidence.record.host) : undefined;
      return {
        ...found,
        verdict: unfit === undefined ? "fail" : "unknown",
        detail:
          (unfit === undefined ? "" : `This cannot be held against the worker: ${unfit}. `) +
          `${wrong.length} findings among ${replayed.length} replayed letters; ${doubled.length} events have more than one effect.`,
        offending: wrong.slice(0, shown),
        expected: `one effect for each letter that can succeed, none for the others, at most ${maxReplays} replays of one that fails`,
        lookAt:
          "which key the effect of a replay is stored under, and what the tool does with letters a dead replay left",
      };
    }
    if (replayed.length === 0) return { ...found, verdict: "unknown", detail: "No letter was replayed." };
    if (!killed.killed || halfway === 0 || halfway >= of) {
      return {
        ...found,
        verdict: "unknown",
        detail: `The kill did not strike in the middle of a replay (${halfway} of ${of} letters were marked), so dying was not put to the test.`,
        lookAt: "run again with another seed",
      };
    }
    const resumed =
      printed<{ resumed: string[] }>(stepOf(evidence, "replay after the kill"))?.resumed?.length ?? 0;
    return {
      ...found,
      verdict: "pass",
      detail:
        `${replayed.length} letters were replayed, ${replayed.reduce((sum, one) => sum + one.replayCount, 0)} times in all; ` +
        `the tool was killed at ${halfway} of ${of}, and its next run took ${resumed} up that were in between. No event has two effects.`,
    };
  },
};

/** What is wrong with one letter that came from a message of ours. */
function wronged(evidence: Evidence, letter: LetterRow, effects: ReadonlyMap<string, Effects>): string[] {
  if (letter.message < 0) return [];
  const { event, trouble } = evidence.message(letter.message);
  const what = `letter ${letter.id} (${letter.class})`;
  if (letter.state === "replaying")
    return [`${what} is still on its way: its replay never arrived, or was not noted`];
  if (letter.replayCount === 0) return [];
  const count = effects.get(event?.eventId ?? "")?.count ?? 0;
  if (event !== undefined && trouble !== hopeless) {
    if (count === 0 || letter.state !== "resolved")
      return [`${what} was replayed, has ${count} effects and is ${letter.state}`];
    return paidOtherwise(what, event, effects);
  }
  if (count > 0) return [`${what} cannot succeed and has an effect`];
  return letter.state === "resolved" && !isMended(evidence, letter)
    ? [`${what} cannot succeed and is resolved`]
    : [];
}

/**
 * Letters of a class that was ordered to be replayed and that no replay touched, though each order was carried out. Only
 * those that were there before: a slow worker still buries while the operator is at work.
 */
function leftOut(evidence: Evidence, letters: readonly LetterRow[], before: readonly LetterRow[]): string[] {
  const known = new Set(before.map(({ id }) => id));
  const ordered = new Set(
    (evidence.record.operation ?? [])
      .filter(({ args, killed, code }) => args?.[0] === "replay" && !killed && code === 0)
      .flatMap(({ args }) => (args ?? []).filter((_, i) => args?.[i - 1] === "--class")),
  );
  return letters
    .filter(
      (one) =>
        known.has(one.id) &&
        one.message >= 0 &&
        one.replayCount === 0 &&
        one.state === "dead" &&
        ordered.has(one.class),
    )
    .map(({ id, class: is }) => `letter ${id} (${is}) was ordered to be replayed and never was`);
}

const isMended = (evidence: Evidence, { id }: LetterRow): boolean =>
  stepOf(evidence, "edit")?.args?.[1] === id;

function paidOtherwise(
  what: string,
  { eventId, accountId, amountCents }: Pick<PaymentEvent, "eventId" | "accountId" | "amountCents">,
  effects: ReadonlyMap<string, Effects>,
): string[] {
  const expected = `${accountId} ${amountCents}`;
  const payments = effects.get(eventId)?.payments ?? expected;
  return payments === expected ? [] : [`${what} had "${expected}" to pay and paid "${payments}"`];
}

function mendedWrongly(
  evidence: Evidence,
  letters: readonly LetterRow[],
  effects: ReadonlyMap<string, Effects>,
): string[] {
  const edit = stepOf(evidence, "edit");
  if (edit === undefined) return [];
  const id = edit.args?.[1] ?? "";
  const letter = letters.find((one) => one.id === id);
  if (letter === undefined) return ["no letter could be mended"];
  const event = mended(id);
  const count = effects.get(event.eventId)?.count ?? 0;
  return count === 1 && letter.state === "resolved"
    ? paidOtherwise(`letter ${id}, which was mended,`, event, effects)
    : [`letter ${id} was mended and replayed, has ${count} effects and is ${letter.state}`];
}

function cappedWrongly(evidence: Evidence, letters: readonly LetterRow[]): string[] {
  const beyond = stepOf(evidence, "replay beyond the cap");
  if (beyond === undefined) return [];
  const told = printed<{ replayed: string[]; capped: string[] }>(beyond);
  const failing = letters.filter(
    ({ message }) => message >= 0 && evidence.place(message).trouble === hopeless,
  );
  const uncounted = failing.filter(
    ({ replayCount, state }) => replayCount !== maxReplays || state !== "dead",
  );
  return [
    ...uncounted.map(
      ({ id, replayCount, state }) =>
        `letter ${id} fails each time; it is ${state} with ${replayCount} replays instead of ${maxReplays}`,
    ),
    ...failing
      .filter(({ id }) => told?.capped?.includes(id) !== true)
      .map(({ id }) => `letter ${id} was replayed ${maxReplays} times and is not told of as left alone`),
  ];
}
