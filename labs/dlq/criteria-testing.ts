/** A run of this lab in which everything went right, made without services: tests plant one fault in it. */
import type { Scenario } from "../../harness/lab.ts";
import { planMessages, type SentMessage } from "../../harness/load/messages.ts";
import { dueTimes, schedule } from "../../harness/load/schedule.ts";
import type { OperationStep, RunRecord } from "../../harness/record/record.ts";
import { healthyRecord } from "../../harness/verdict/testing.ts";
import { classOf, hopeless } from "./criteria-poison.ts";
import lab from "./lab.ts";
import { mended } from "./operation.ts";

const seed = 3;
const storeMs = 20;
const topic = "t";

let made: RunRecord | undefined;

/** A fresh copy at each call. */
export function dlqRecord(): RunRecord {
  made ??= {
    ...makeRun(lab.profiles.quick),
    arms: (lab.profiles.quick.arms ?? []).map(({ name, scenario }) => ({ name, record: makeRun(scenario) })),
  };
  return structuredClone(made);
}

function makeRun(scenario: Scenario): RunRecord {
  const base = healthyRecord();
  const plan = planMessages(seed, scenario.load, lab.partitions);
  const phases = schedule(scenario.load.phases);
  const due = dueTimes(phases);
  const next = new Array<number>(lab.partitions).fill(0);
  const messages = Array.from({ length: plan.length }, (_, i): SentMessage => {
    const place = plan.at(i);
    const offset = next[place.partition] ?? 0;
    next[place.partition] = offset + 1;
    const trace = plan.trace(i);
    return { ...place, topic, offset, event: plan.event(i), value: () => plan.value(i), trace };
  });
  const endMs = phases.at(-1)?.endMs ?? 0;
  const dueAt = (i: number) => due[i] ?? 0;
  const letters = messages.filter((one) => classOf(one) !== undefined);
  const crossed = alertTimes(letters.map(({ index }) => dueAt(index) + storeMs));
  return {
    ...base,
    lab: "dlq",
    seed,
    finishedMs: endMs + 20_000,
    parameters: {
      sessionTimeoutMs: 3_000,
      databaseClockSkewMs: 0,
      ...scenario.limits,
    },
    topic: { name: topic, partitions: lab.partitions },
    phases: phases.map(({ name, startMs, endMs: end, perSecond }) => ({
      name,
      startMs,
      endMs: end,
      perSecond,
    })),
    faults: [],
    ledger: {
      planned: plan.length,
      stoppedMs: null,
      partition: messages.map(({ partition }) => partition),
      offset: messages.map(({ offset }) => offset),
      sentMs: messages.map(({ index }) => dueAt(index) + 1),
      ackedMs: messages.map(({ index }) => dueAt(index) + 2),
      errors: [],
      endOffsets: next,
    },
    tables: lab.tables.map((table) => {
      const asSent = messages.filter((one) => table.belongs(one)).map(({ index }) => index);
      const columns = table.columns.map(({ name }) => name);
      const times = asSent.map((i) => dueAt(i) + storeMs);
      return { name: table.name, columns, asSent, asSentCommittedMs: times, others: [] };
    }),
    commitSamples: [{ atMs: endMs + 500, committed: next, checked: plan.length, missing: [] }],
    workers: [],
    ...(scenario.operation === undefined
      ? {}
      : { operation: operated(scenario, letters, dueAt, endMs + 600), alerts: crossed }),
    settled: { atMs: endMs + 500, drained: true },
  };
}

/** Posted 100 ms after the letters of a window reach the threshold, and after they are below half of it for good. */
function alertTimes(sorted: readonly number[]): NonNullable<RunRecord["alerts"]> {
  const { alertThreshold = 0, alertWindowMs = 0 } = lab.profiles.quick.limits ?? {};
  const crossed =
    sorted.find(
      (at, i) => at - (sorted[i - alertThreshold + 1] ?? Number.NEGATIVE_INFINITY) < alertWindowMs,
    ) ?? 0;
  const body = {
    id: "a",
    classes: { malformed: 3, refused: 2 },
    examples: [{ id: "1", class: "malformed", message: "m" }],
    runbook: "here",
  };
  return [
    { atMs: crossed + 100, body: { ...body, status: "firing" } },
    { atMs: (sorted.at(-1) ?? 0) + alertWindowMs + 100, body: { ...body, status: "resolved" } },
  ];
}

interface Letter {
  readonly id: string;
  readonly message: SentMessage;
  readonly class: string;
  readonly firstFailedMs: number;
  state: string;
  replayCount: number;
  bytes: number | null;
  edited: boolean;
}

/** The steps of the scenario, carried out on a model of the tables. */
function operated(
  scenario: Scenario,
  poison: readonly SentMessage[],
  dueAt: (i: number) => number,
  fromMs: number,
): OperationStep[] {
  const letters = poison.map(
    (message, i): Letter => ({
      id: String(i + 1),
      message,
      class: classOf(message) ?? "",
      firstFailedMs: dueAt(message.index) + storeMs,
      state: "dead",
      replayCount: 0,
      bytes: message.value()?.length ?? null,
      edited: false,
    }),
  );
  /** Of the payment. */
  const effects = new Map<string, { accountId: string; amountCents: number }>();
  const audit: (string | null)[][] = [];
  const looks: Record<string, () => (string | null)[][]> = {
    letters: () =>
      letters.map((one) => [
        one.id,
        topic,
        String(one.message.partition),
        String(one.message.offset),
        one.class,
        one.state,
        String(one.replayCount),
        String(Math.round(one.firstFailedMs)),
        one.bytes === null ? null : String(one.bytes),
      ]),
    effects: () =>
      [...effects].map(([id, { accountId, amountCents }]) => [id, "1", `${accountId} ${amountCents}`]),
    audit: () => audit.map((row) => [...row]),
  };
  const note = (operation: string, args: readonly string[], ids: readonly string[]) => {
    if (ids.length > 0)
      audit.push([
        String(audit.length + 1),
        operation,
        option(args, "--actor"),
        option(args, "--reason"),
        ids.join(" "),
      ]);
  };
  const replayed = (letter: Letter): void => {
    letter.replayCount += 1;
    const { event, trouble } = letter.message;
    const payment = letter.edited ? mended(letter.id) : trouble === hopeless ? undefined : event;
    letter.state = payment === undefined ? "dead" : "resolved";
    if (payment !== undefined) effects.set(payment.eventId, payment);
  };
  const found = (args: readonly string[], state: string): Letter[] => {
    const classes = args.flatMap((one, i) => (args[i - 1] === "--class" ? [one] : []));
    return letters.filter(
      (one) => one.state === state && (classes.length === 0 || classes.includes(one.class)),
    );
  };
  const tool = (
    args: readonly string[],
    isKilled: boolean,
    nowMs: number,
  ): { code: number | null; stdout: string } => {
    const say = (value: unknown) => ({ code: 0, stdout: JSON.stringify(value) });
    if (args[0] === "list") {
      const some = args.includes("--older-than")
        ? letters.filter((one) => one.firstFailedMs <= nowMs - 3_000)
        : found(args, "dead");
      const listed = some.map((one) => ({ ...one, topic, message: "", valueBytes: one.bytes }));
      return say({ total: some.length, letters: listed });
    }
    const named = letters.find(({ id }) => id === args[1]);
    if (args[0] === "show" && named !== undefined) {
      const { message } = named;
      const headers = [["trace", message.trace?.toString("base64")]];
      return say({ id: named.id, value: message.value()?.toString("base64") ?? null, headers });
    }
    if (args[0] === "edit" && named !== undefined) {
      named.edited = true;
      note("edit", args, [named.id]);
      return say({ edited: [named.id] });
    }
    if (args[0] === "audit") return say({ entries: audit.map(([id]) => ({ id })) });
    if (args[0] === "purge") {
      if (option(args, "--actor") === "" || option(args, "--reason") === "") return { code: 1, stdout: "" };
      const purged = found(args, "dead");
      for (const one of purged) Object.assign(one, { state: "purged", bytes: null });
      note(
        "purge",
        args,
        purged.map(({ id }) => id),
      );
      return say({ purged: purged.map(({ id }) => id) });
    }
    const all = found(args, args.includes("--state") ? "resolved" : "dead");
    const cap = Number(option(args, "--max-replays"));
    const todo = all.filter((one) => one.replayCount < cap);
    const done = isKilled ? todo.slice(0, Math.ceil(todo.length / 2)) : todo;
    for (const one of done) replayed(one);
    note(
      "replay",
      args,
      done.map(({ id }) => id),
    );
    if (isKilled) return { code: null, stdout: "" };
    return say({
      replayed: done.map(({ id }) => id),
      resumed: [],
      capped: all.filter((one) => !todo.includes(one)).map(({ id }) => id),
    });
  };
  const done: OperationStep[] = [];
  const soFar = (name: string) => done.find((one) => one.name === name) as OperationStep;
  for (const [i, step] of (scenario.operation?.steps ?? []).entries()) {
    const startMs = fromMs + i * 500;
    const killed = "killWhen" in step && step.killWhen !== undefined;
    const args = "sql" in step ? null : [...step.args(soFar)];
    const result = args === null ? { code: 1, stdout: "" } : tool(args, killed, startMs);
    done.push({
      name: step.name,
      startMs,
      endMs: startMs + 400,
      args,
      killed,
      ...result,
      stderr: "",
      sql: "sql" in step ? step.sql : null,
      sqlState: "sql" in step ? "23001" : null,
      awaited: step.awaits === undefined ? null : true,
      looks: Object.fromEntries((step.looks ?? []).map((name) => [name, looks[name]?.() ?? []])),
    });
  }
  return done;
}

const option = (args: readonly string[], name: string): string =>
  args[args.indexOf(name) + 1 || args.length] ?? "";
