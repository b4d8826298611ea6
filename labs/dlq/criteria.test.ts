import { describe, expect, test } from "vitest";
import { planMessages } from "../../harness/load/messages.ts";
import type { OperationStep, RunRecord } from "../../harness/record/record.ts";
import { judge } from "../../harness/verdict/judge.ts";
import type { CriterionVerdict } from "../../harness/verdict/verdict.ts";
import { dlqRecord } from "./criteria-testing.ts";
import lab from "./lab.ts";

const verdictOf = (record: RunRecord, id: string): CriterionVerdict => {
  const found = judge(record, lab).criteria.find((one) => one.id === id);
  if (found === undefined) throw new Error(`no criterion ${id}`);
  return found;
};
const tableOf = (record: RunRecord, name: string) => {
  const found = record.tables.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no table ${name}`);
  return found;
};
const stepOf = (record: RunRecord, name: string): OperationStep => {
  const found = record.operation?.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no step ${name}`);
  return found;
};
/** Changes the cells of a look, in every step that took it. */
const change = (record: RunRecord, look: string, edit: (row: (string | null)[]) => void): void => {
  for (const { looks } of record.operation ?? []) for (const row of looks[look] ?? []) edit(row);
};
const judged = (id: string, plant: (record: RunRecord) => void): CriterionVerdict => {
  const record = dlqRecord();
  plant(record);
  return verdictOf(record, id);
};

test("the healthy run passes every criterion", () => {
  const { criteria } = judge(dlqRecord(), lab);
  expect(criteria.map(({ id, verdict, detail }) => [id, verdict, verdict === "pass" ? "" : detail])).toEqual(
    criteria.map(({ id }) => [id, "pass", ""]),
  );
  expect(criteria.map(({ id }) => id)).toEqual([
    "load-offered",
    "lossless",
    "each-poison-once",
    "forensics",
    "no-head-of-line",
    "inspect",
    "replay-once",
    "purge-audited",
    "audit-append-only",
    "alert",
  ]);
});

test("a payment of another amount than its event's fails lossless", () => {
  const record = dlqRecord();
  const { asSent, asSentCommittedMs, others } = tableOf(record, "payments");
  const message = asSent.shift() ?? -1;
  asSentCommittedMs.shift();
  const event = planMessages(record.seed, lab.profiles.quick.load, lab.partitions).event(message);
  others.push({ values: [event?.eventId ?? null, event?.accountId ?? null, "1"], committedMs: 1 });
  const { criteria } = judge(record, lab);
  expect(criteria.filter(({ verdict }) => verdict !== "pass").map(({ id }) => id)).toEqual(["lossless"]);
  expect(verdictOf(record, "lossless").offending?.[0]).toContain('has amount_cents = "1" instead of');
});

/** Stores the payment of an event whose attempts were exhausted; returns its message. */
function withEffectOfPoison(record: RunRecord): number {
  const { load } = lab.profiles.quick;
  const plan = planMessages(record.seed, load, lab.partitions);
  const message =
    tableOf(record, "dead_letters").asSent.find((i) => plan.at(i).trouble === "exhausted") ?? -1;
  const { asSent, asSentCommittedMs } = tableOf(record, "payments");
  asSent.push(message);
  asSentCommittedMs.push(100);
  return message;
}

/** A gateway that accepted one call. */
const accepting = (message: number, atMs: number): RunRecord["gateway"] => ({
  steps: [],
  callOverhead: { meanMs: 0, p50Ms: 0, p99Ms: 0, samples: 0 },
  attempts: { message: [message], arrivedMs: [atMs], answeredMs: [atMs], status: [200], open: [1] },
  strangers: [],
});

test("an effect of poison that the gateway accepted on another delivery is no fault", () => {
  const found = judged("each-poison-once", (r) => {
    r.gateway = accepting(withEffectOfPoison(r), 100);
  });
  expect(found.verdict, found.detail).toBe("pass");
});

test("an effect of poison that the gateway accepted only from the operator is a fault", () => {
  const found = judged("each-poison-once", (r) => {
    r.gateway = accepting(withEffectOfPoison(r), r.settled.atMs + 1_000);
  });
  expect(found.verdict, found.detail).toBe("fail");
});

test("a letter that was buried after the replays was not left out of them", () => {
  const found = judged("replay-once", (r) => {
    const late = stepOf(r, "list").looks.letters?.findLast((row) => row[4] === "exhausted")?.[0];
    for (const { name, looks } of r.operation ?? []) {
      if (name === "replay") looks.letters = looks.letters?.filter(([id]) => id !== late) ?? [];
      for (const row of looks.letters ?? []) if (row[0] === late) row.splice(5, 2, "dead", "0");
    }
  });
  expect(found.verdict, found.detail).toBe("pass");
});

test("a trigger that refuses with an SQLSTATE of its own protects the audit trail", () => {
  const found = judged("audit-append-only", (r) => {
    for (const step of r.operation ?? []) if (step.sql !== null) step.sqlState = "AU001";
  });
  expect(found.verdict, found.detail).toBe("pass");
});

/** The fault, the criterion it must fail, and words of its first finding. */
const faults: [string, string, string, (record: RunRecord) => void][] = [
  [
    "a letter is missing",
    "each-poison-once",
    "no letter",
    (r) => void tableOf(r, "dead_letters").asSent.shift(),
  ],
  [
    "a letter is there twice",
    "each-poison-once",
    "2 letters",
    (r) => {
      const { asSent, asSentCommittedMs } = tableOf(r, "dead_letters");
      asSent.push(asSent[0] ?? 0);
      asSentCommittedMs.push(100);
    },
  ],
  [
    "a healthy message has a letter",
    "each-poison-once",
    "no poison message",
    (r) => {
      const healthy = tableOf(r, "payments").asSent[0] ?? 0;
      const { partition, offset } = r.ledger;
      const values = ["t", String(partition[healthy]), String(offset[healthy]), ...new Array(7).fill("x")];
      tableOf(r, "dead_letters").others.push({ values, committedMs: 100 });
    },
  ],
  [
    "poison that has a letter and an effect",
    "each-poison-once",
    "never accepted",
    (r) => void withEffectOfPoison(r),
  ],
  [
    "a letter has other bytes",
    "forensics",
    "differ from what was sent",
    (r) => {
      const { asSent, asSentCommittedMs, others } = tableOf(r, "dead_letters");
      const at = asSent.shift() ?? 0;
      asSentCommittedMs.shift();
      const place = ["t", String(r.ledger.partition[at]), String(r.ledger.offset[at])];
      const key = Buffer.from("acct").toString("hex");
      others.push({ values: [...place, key, "1 bytes", "[]", "x", "x", "x", "x"], committedMs: 100 });
    },
  ],
  [
    "healthy events wait for poison",
    "no-head-of-line",
    "2.5 s",
    (r) => {
      const table = tableOf(r, "payments");
      table.asSentCommittedMs = table.asSentCommittedMs.map((at, i) =>
        i % 20 === 0 ? (at ?? 0) + 2_500 : at,
      );
    },
  ],
  [
    "healthy events wait twice as long as without poison",
    "no-head-of-line",
    "0.5 s",
    (r) => {
      const table = tableOf(r, "payments");
      table.asSentCommittedMs = table.asSentCommittedMs.map((at) => (at ?? 0) + 500);
    },
  ],
  [
    "a list that forgets a letter",
    "inspect",
    "listed",
    (r) => {
      const step = stepOf(r, "list");
      const { total, letters } = JSON.parse(step.stdout);
      step.stdout = JSON.stringify({ total, letters: letters.slice(1) });
    },
  ],
  [
    "a filter that filters nothing",
    "inspect",
    "list of a class",
    (r) => {
      stepOf(r, "list of a class and a topic").stdout = stepOf(r, "list").stdout;
    },
  ],
  [
    "an age that is not looked at",
    "inspect",
    "younger",
    (r) => {
      const step = stepOf(r, "list by age");
      step.stdout = stepOf(r, "list").stdout;
      step.startMs = step.endMs = 4_000;
    },
  ],
  [
    "a letter shown with other bytes",
    "inspect",
    "other bytes",
    (r) => {
      const step = stepOf(r, "show");
      step.stdout = JSON.stringify({ ...JSON.parse(step.stdout), value: "AAAA" });
    },
  ],
  [
    "two effects of one letter",
    "replay-once",
    "2 effects",
    (r) => change(r, "effects", (row) => void row.splice(1, 1, "2")),
  ],
  [
    "a replay without an effect",
    "replay-once",
    "0 effects",
    (r) => change(r, "effects", (row) => void row.splice(0, 1, `x${row[0]}`)),
  ],
  [
    "letters that the tool left out of a replay",
    "replay-once",
    "never was",
    (r) => {
      const [, ...leftOut] = (stepOf(r, "list").looks.letters ?? []).filter((row) => row[4] === "exhausted");
      const ids = new Set(leftOut.map(([id]) => id));
      change(r, "letters", (row) => {
        if (ids.has(row[0] ?? "")) row.splice(5, 2, "dead", "0");
      });
    },
  ],
  [
    "a replay that never arrived",
    "replay-once",
    "on its way",
    (r) =>
      change(r, "letters", (row) => {
        if (row[4] === "exhausted") row[5] = "replaying";
      }),
  ],
  [
    "a replay beyond the cap",
    "replay-once",
    "instead of 2",
    (r) =>
      change(r, "letters", (row) => {
        if (row[5] === "dead" && row[4] === "refused") row[6] = "5";
      }),
  ],
  [
    "a tool that failed",
    "replay-once",
    "failed: deadlock",
    (r) => {
      Object.assign(stepOf(r, "replay after the kill"), { code: 1, stderr: "deadlock detected" });
    },
  ],
  [
    "an edit that was not sent",
    "replay-once",
    "mended",
    (r) =>
      change(r, "effects", (row) => {
        if (row[0]?.startsWith("00000000-")) row[0] = "y";
      }),
  ],
  [
    "a mended letter that pays what it paid before",
    "replay-once",
    'had "acct-mended 100" to pay and paid "acct-1 5"',
    (r) =>
      change(r, "effects", (row) => {
        if (row[0]?.startsWith("00000000-")) row[2] = "acct-1 5";
      }),
  ],
  [
    "a replay that pays another amount than its event's",
    "replay-once",
    '" to pay and paid "acct-1 5"',
    (r) =>
      change(r, "effects", (row) => {
        if (row[0]?.startsWith("00000000-") !== true) row[2] = "acct-1 5";
      }),
  ],
  [
    "a purge that asks nobody",
    "purge-audited",
    "not refused",
    (r) => {
      stepOf(r, "purge without an actor").code = 0;
    },
  ],
  [
    "a purge that is in no trail",
    "purge-audited",
    "no purge by",
    (r) => change(r, "audit", (row) => void row.splice(2, 1, "x")),
  ],
  [
    "a purge that keeps the bytes",
    "purge-audited",
    "still has",
    (r) =>
      change(r, "letters", (row) => {
        if (row[5] === "purged") row[8] = "9";
      }),
  ],
  [
    "a purge of more than was asked",
    "purge-audited",
    "nobody asked",
    (r) => {
      for (const row of stepOf(r, "purge").looks.letters ?? []) if (row[4] === "invalid") row[5] = "purged";
    },
  ],
  [
    "an UPDATE that is carried out",
    "audit-append-only",
    "carried out",
    (r) => {
      Object.assign(stepOf(r, "UPDATE of the audit trail"), { code: 0, sqlState: null });
    },
  ],
  [
    "a table that is not there",
    "audit-append-only",
    "not by a rule",
    (r) => {
      stepOf(r, "TRUNCATE of the audit trail").sqlState = "42P01";
    },
  ],
  [
    "a database that was not reached",
    "audit-append-only",
    "not by a rule",
    (r) => {
      stepOf(r, "DELETE from the audit trail").sqlState = "ECONNREFUSED";
    },
  ],
  [
    "an entry that changed",
    "audit-append-only",
    "gone or changed",
    (r) => {
      for (const row of stepOf(r, "TRUNCATE of the audit trail").looks.audit ?? []) row[3] = "another reason";
    },
  ],
  [
    "a replay that is in no trail",
    "audit-append-only",
    "replayed",
    (r) =>
      change(r, "audit", (row) => {
        if (row[1] === "replay") row[4] = "";
      }),
  ],
  ["no alert", "alert", "no alert came", (r) => void Object.assign(r, { alerts: [] })],
  [
    "a late alert",
    "alert",
    "came",
    (r) => {
      for (const one of r.alerts ?? []) one.atMs += 3_000;
    },
  ],
  [
    "an alert again and again",
    "alert",
    "repeated",
    (r) => {
      const [first, last] = r.alerts ?? [];
      if (first !== undefined && last !== undefined)
        r.alerts = [first, { ...first, atMs: first.atMs + 500 }, last];
    },
  ],
  [
    "an alert at the first letter",
    "alert",
    "never been more than 1 letters",
    (r) => {
      const letters = tableOf(r, "dead_letters").asSentCommittedMs;
      const [first] = r.alerts ?? [];
      // Within the slack of the first letter there is no other.
      if (first !== undefined) first.atMs = Math.min(...letters.map((at) => at ?? 0)) - 300;
    },
  ],
  [
    "an alert that is resolved while letters still come as fast",
    "alert",
    "since it came",
    (r) => {
      const [first, last] = r.alerts ?? [];
      if (first !== undefined && last !== undefined) last.atMs = first.atMs + 50;
    },
  ],
  ["an alert that does not end", "alert", "not resolved", (r) => void r.alerts?.pop()],
  [
    "an alert about nothing",
    "alert",
    "classes",
    (r) => {
      for (const one of r.alerts ?? []) one.body = { ...(one.body as object), classes: {} };
    },
  ],
  [
    "an alert without a runbook",
    "alert",
    "runbook",
    (r) => {
      for (const one of r.alerts ?? []) one.body = { ...(one.body as object), runbook: "" };
    },
  ],
];

describe("the judges find", () => {
  test.each(faults)("%s: %s", (_, id, words, plant) => {
    const found = judged(id, plant);
    expect(found.verdict, found.detail).toBe("fail");
    expect([found.detail, ...(found.offending ?? [])].join("\n")).toContain(words);
    expect([found.expected, found.lookAt]).not.toContain(undefined);
  });
});

describe("what was not put to the test is unknown", () => {
  test.each([
    [
      "a kill before the first letter",
      "replay-once",
      (r: RunRecord): void => {
        Object.assign(stepOf(r, "replay"), { killed: false, code: 0 });
      },
    ],
    ["no operator", "inspect", (r: RunRecord): void => void Object.assign(r, { operation: [] })],
    [
      "no operator to purge",
      "purge-audited",
      (r: RunRecord): void => void Object.assign(r, { operation: [] }),
    ],
    [
      "no operator to be noted",
      "audit-append-only",
      (r: RunRecord): void => void Object.assign(r, { operation: [] }),
    ],
    [
      "nothing to compare with",
      "no-head-of-line",
      (r: RunRecord): void => void Object.assign(r, { arms: [] }),
    ],
    [
      "healthy events that were late in one standstill",
      "no-head-of-line",
      (r: RunRecord): void => {
        const table = tableOf(r, "payments");
        table.asSentCommittedMs = table.asSentCommittedMs.map((at) =>
          at !== null && at >= 4_000 && at < 4_150 ? 4_440 : at,
        );
      },
    ],
    [
      "a rate that never crossed",
      "alert",
      (r: RunRecord): void => {
        r.parameters.alertThreshold = 10_000;
        r.alerts = [];
      },
    ],
  ] as const)("%s: %s", (_, id, plant) => {
    const record = dlqRecord();
    plant(record);
    expect(verdictOf(record, id).verdict).toBe("unknown");
  });

  test("an alert resolved early on a host that is not fit: commits may lie far behind the burials", () => {
    const found = judged("alert", (r) => {
      const [first, last] = r.alerts ?? [];
      if (first !== undefined && last !== undefined) last.atMs = first.atMs + 50;
      r.host.calibration.cpuShare = 0.3;
    });
    expect(found.verdict).toBe("unknown");
  });

  test("a late alert on a host that is not fit", () => {
    const found = judged("alert", (r) => {
      for (const one of r.alerts ?? []) one.atMs += 3_000;
      r.host.calibration.cpuShare = 0.3;
    });
    expect(found.verdict).toBe("unknown");
  });
});
