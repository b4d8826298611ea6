/** What the operator does after the load, as steps: inspect, fix, replay, replay again with a kill in the middle, purge. */
import type { Operation, SoFar, Step } from "../../harness/operate/operation.ts";

/** A letter replayed this often is left alone. */
export const maxReplays = 2;

export const operatorName = "ada";
export const purgeReason = "too large for us: the producer sends them again in parts, ticket 4711";

const looks = {
  letters: `SELECT id, topic, partition, "offset", class, state, replay_count,
      round(extract(epoch FROM first_failed_at) * 1000), octet_length(value)
    FROM dead_letters ORDER BY id`,
  effects: `SELECT event_id, count(*), string_agg(DISTINCT account_id || ' ' || amount_cents, ', ')
    FROM payments GROUP BY 1 ORDER BY 1`,
  audit: `SELECT id, operation, actor, reason, array_to_string(letters, ' ') FROM dead_letter_audit ORDER BY id`,
};

const allSettled = "SELECT NOT EXISTS (SELECT FROM dead_letters WHERE state = 'replaying')";
const failedDownstream = ["--class", "refused", "--class", "exhausted"];
const capped = ["--max-replays", String(maxReplays)];
const because = (reason: string) => ["--actor", operatorName, "--reason", reason];
const replay = (...args: string[]) => ["replay", ...args, "--json"];
const purge = (...args: string[]) => ["purge", "--class", "too-large", ...args, "--json"];
const settled = { awaits: allSettled, looks: ["letters"] };

const list: Step = { name: "list", args: () => ["list", "--json"], looks: ["letters"] };
const inspection: Step[] = [
  {
    name: "list of a class and a topic",
    args: (soFar) => [
      "list",
      "--class",
      "refused",
      "--topic",
      first(soFar).topic,
      "--state",
      "dead",
      "--json",
    ],
  },
  { name: "list by age", args: () => ["list", "--older-than", "3s", "--json"], beside: true },
  { name: "show", args: (soFar) => ["show", toMend(soFar).id, "--json"], beside: true },
];
const refusedPurges: Step[] = [
  { name: "purge without an actor", args: () => purge("--reason", purgeReason) },
  {
    name: "purge without a reason",
    args: () => purge("--actor", operatorName),
    beside: true,
    looks: ["letters"],
  },
];
const edit: Step = {
  name: "edit",
  args: (soFar) => {
    const { id } = toMend(soFar);
    return ["edit", id, "--value", JSON.stringify(mended(id)), ...because("the producer sent it anew")];
  },
  beside: true,
};
/** Dies with a letter marked and not known to be published, once a seeded share of the letters is on its way. */
const killedReplay: Step = {
  name: "replay",
  args: () => replay(...failedDownstream, ...capped, "--rate", "20", ...because("the gateway is mended")),
  killWhen: (
    random,
  ) => `SELECT count(*) FILTER (WHERE replay_count > 0) >= 1 + floor(${random} * 0.5 * count(*))
      AND bool_or(state = 'replaying' AND published_at IS NULL)
    FROM dead_letters WHERE class IN ('refused', 'exhausted')`,
  looks: ["letters"],
};
const replays: Step[] = [
  {
    name: "replay after the kill",
    args: () =>
      replay(...failedDownstream, ...capped, "--rate", "1000", ...because("the first one was killed")),
    ...settled,
  },
  {
    name: "replay what failed",
    args: () => replay("--class", "refused", "--class", "malformed", ...capped, ...because("one was mended")),
    ...settled,
  },
  {
    name: "replay what is resolved",
    args: () =>
      replay("--state", "resolved", "--max-replays", "9", "--rate", "1000", ...because("to be sure")),
    awaits: allSettled,
    looks: ["letters", "effects"],
  },
];
const beyondTheCap: Step = {
  name: "replay beyond the cap",
  args: () => replay("--class", "refused", ...capped, ...because("once more")),
};
const purged: Step = {
  name: "purge",
  args: () => purge(...because(purgeReason)),
  looks: ["letters", "audit"],
};
const trail: Step[] = [
  { name: "audit", args: () => ["audit", "--json"] },
  { name: "UPDATE of the audit trail", sql: "UPDATE dead_letter_audit SET actor = 'nobody'", beside: true },
  { name: "DELETE from the audit trail", sql: "DELETE FROM dead_letter_audit", beside: true },
  {
    name: "TRUNCATE of the audit trail",
    sql: "TRUNCATE dead_letter_audit",
    beside: true,
    looks: ["letters", "effects", "audit"],
  },
];

const tool = "toolkit/operator/main.ts";

export const operation: Operation = {
  tool,
  looks,
  steps: [
    list,
    ...inspection,
    ...refusedPurges,
    edit,
    killedReplay,
    ...replays,
    beyondTheCap,
    { ...purged, beside: true },
    ...trail,
  ],
};

/** As few steps as every mistake shows in. */
export const shortOperation: Operation = {
  tool,
  looks,
  steps: [
    list,
    ...refusedPurges,
    killedReplay,
    ...replays.filter(({ name }) => name !== "replay what failed"),
    purged,
    ...trail,
  ],
};

interface Listed {
  readonly id: string;
  readonly topic: string;
  readonly class: string;
  readonly valueBytes: number | null;
}

function listed(soFar: SoFar): Listed[] {
  return (JSON.parse(soFar("list").stdout) as { letters: Listed[] }).letters;
}

function first(soFar: SoFar): Listed {
  const [letter] = listed(soFar);
  if (letter === undefined) throw new Error("the list is empty: there is no letter to go on with");
  return letter;
}

/** The letter that gets other bytes: the first malformed one that has any. */
function toMend(soFar: SoFar): Listed {
  const letter = listed(soFar).find((one) => one.class === "malformed" && (one.valueBytes ?? 0) > 0);
  if (letter === undefined) throw new Error("the list has no malformed letter that could be mended");
  return letter;
}

/** What the producer should have sent; the id of the event follows from that of the letter. */
export function mended(letterId: string) {
  return {
    eventId: `00000000-0000-4000-8000-${letterId.padStart(12, "0")}`,
    accountId: "acct-mended",
    amountCents: 100,
    occurredAt: "2026-01-05T08:00:00.000Z",
    sequence: 1,
    padding: "",
  };
}
