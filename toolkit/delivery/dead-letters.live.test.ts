import { describe, expect, test } from "vitest";
import { type Alert, lookOnce, startAlertMonitor } from "./alert.ts";
import { bury, replayOf, resolve } from "./dead-letters.ts";
import { audit, edit, list, purge, show } from "./operate.ts";
import { type Outgoing, replay } from "./replay.ts";
import { letter, payloads, placeOfTest, received } from "./testing.ts";

const ada = { actor: "ada", reason: "a test" };
const place = placeOfTest();

test("every payload, key and header comes back byte for byte, in show and in replay", async () => {
  const { db } = place();
  await bury(
    db,
    payloads.map(([, value], i) => letter(i, value)),
  );
  const { letters } = await list(db, {});
  const sent: Outgoing[] = [];
  const publish = async (some: readonly Outgoing[]) => void sent.push(...some);
  await replay(db, {}, { ...ada, publish, perSecond: 10_000 });
  for (const [i, [name, value]] of payloads.entries()) {
    const shown = await show(db, letters[i]?.id ?? "");
    for (const got of [shown?.value ?? null, sent[i]?.value ?? null]) {
      expect(got === null ? value === null : value?.equals(got), name).toBe(true);
    }
    expect(sent[i]?.key).toEqual(letter(i, null).record.key);
    expect(sent[i]?.headers).toMatchObject(letter(i, null).record.headers);
  }
});

test("what headers are called, or say of a replay, keeps no letter from being stored and sent again", async () => {
  const { db } = place();
  const replayHeaders = { "dlq-letter": "1", "dlq-replay": String(2 ** 31), "dlq-dedupe-key": "key" };
  const named: (readonly [string, string])[][] = [
    [["a\0b", "v"]],
    [["constructor", "v"]],
    [["__proto__", "v"]],
    Object.entries(replayHeaders),
  ];
  const headersOf = (pairs: (readonly [string, string])[]) =>
    Object.fromEntries(pairs.map(([name, value]) => [name, Buffer.from(value)]));
  await bury(
    db,
    named.map((pairs, i) => {
      const made = letter(i, null);
      return { ...made, record: { ...made.record, headers: headersOf(pairs) } };
    }),
  );
  const sent: Outgoing[] = [];
  await replay(db, {}, { ...ada, publish: async (some) => void sent.push(...some) });
  expect(sent).toHaveLength(named.length);
  const ofReplay = Object.keys(replayHeaders);
  const own = sent.map(({ headers }) => Object.entries(headers).filter(([name]) => !ofReplay.includes(name)));
  const value = Buffer.from("v");
  expect(own).toEqual([[["a\u2400b", value]], [["constructor", value]], [["__proto__", value]], []]);
});

test("a redelivered message has one letter", async () => {
  const { db } = place();
  await bury(db, [letter(1, null)]);
  await bury(db, [letter(1, null), letter(2, null)]);
  expect((await list(db, {})).total).toBe(2);
});

test("a replay that fails again returns to its letter once, with its history, and stops at the cap", async () => {
  const { db } = place();
  await bury(db, [letter(1, Buffer.from("x"))]);
  const sent: Outgoing[] = [];
  const publish = async (some: readonly Outgoing[]) => void sent.push(...some);
  for (let times = 1; times <= 2; times += 1) {
    await replay(db, {}, { ...ada, publish, maxReplays: 2 });
    const again = { ...letter(0, null), record: received(sent.at(-1) as Outgoing) };
    await bury(db, [again]);
    await bury(db, [again]);
  }
  const last = await replay(db, {}, { ...ada, publish, maxReplays: 2 });
  const { letters } = await list(db, {});
  expect(last).toMatchObject({ replayed: [], capped: [letters[0]?.id] });
  expect(letters).toMatchObject([{ state: "dead", replayCount: 2 }]);
  expect((await show(db, letters[0]?.id ?? ""))?.attempts).toHaveLength(3);
});

test("a replay of 10,000 letters that dies again and again gives each exactly one effect", async () => {
  const { db } = place();
  const all = Array.from({ length: 10_000 }, (_, i) => letter(i, Buffer.from(String(i))));
  await bury(db, all);
  await db.query("CREATE TABLE effects (dedupe_key text PRIMARY KEY)");
  let published = 0;
  let deaths = 0;
  const consume = async (some: readonly Outgoing[]): Promise<void> => {
    const replays = some.map((one) => replayOf(received(one))).filter((one) => one !== undefined);
    await db.query("INSERT INTO effects SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", [
      replays.map(({ dedupeKey }) => dedupeKey),
    ]);
    await resolve(db, replays);
  };
  // Workers are at it all the while, in another order than the replay: neither may wait for the other in a circle.
  const working: Promise<void>[] = [];
  const publish = async (some: readonly Outgoing[]): Promise<void> => {
    const dies = Math.random() < 0.1;
    // Dead before the broker had all of it, or after.
    const reached = dies ? some.slice(0, Math.floor(Math.random() * (some.length + 1))) : some;
    working.push(consume(reached.toReversed()));
    published += reached.length;
    if (dies) throw new Error("killed");
  };
  for (;;) {
    const result = await replay(db, {}, { ...ada, publish, perSecond: 1_000_000 }).catch((error: Error) => {
      expect(error.message).toBe("killed");
    });
    if (result !== undefined) break;
    deaths += 1;
  }
  await Promise.all(working);
  const { rows } = await db.query("SELECT count(*)::int AS effects FROM effects");
  console.log(`  10,000 letters, ${deaths} deaths, ${published} messages`);
  expect(deaths).toBeGreaterThan(0);
  expect(published).toBeGreaterThanOrEqual(10_000);
  expect(rows[0].effects).toBe(10_000);
  expect((await list(db, { states: ["resolved"] }, 1)).total).toBe(10_000);
}, 60_000);

test("a message with the headers of a replay that never was is a letter of its own, and moves no other", async () => {
  const { db } = place();
  await bury(db, [letter(1, Buffer.from("mine"))]);
  const sent: Outgoing[] = [];
  await replay(db, {}, { ...ada, publish: async (some) => void sent.push(...some) });
  const record = received(sent[0] as Outgoing);
  const headers = { ...record.headers, "dlq-letter": Buffer.from("4711") };
  const ofAnotherTopic = { ...letter(0, null), record: { ...record, topic: "invoices" } };
  const ofNoLetter = { ...letter(0, null), record: { ...record, headers } };
  for (let times = 1; times <= 2; times += 1) await bury(db, [ofAnotherTopic, ofNoLetter]);
  expect((await list(db, {})).letters).toMatchObject([
    { id: "1", topic: "payments", offset: "1", state: "replaying" },
    { topic: "invoices", offset: "1000000", state: "dead" },
    { topic: "payments", offset: "1000000", state: "dead" },
  ]);
});

test("a letter that the broker refuses for good is dead again, with the reason, and holds up no other", async () => {
  const { db } = place();
  await bury(db, [letter(1, null), letter(2, Buffer.from("too large")), letter(3, null)]);
  const sent: Outgoing[] = [];
  let isDown = true;
  const publish = async (some: readonly Outgoing[]) => {
    if (isDown) throw new Error("killed");
    if (some.some(({ value }) => value !== null)) {
      throw Object.assign(new Error("the message is too large"), {
        type: "MESSAGE_TOO_LARGE",
        retriable: false,
      });
    }
    sent.push(...some);
  };
  // What waits to be taken up is refused as well.
  await expect(replay(db, { ids: ["2"] }, { ...ada, publish })).rejects.toThrow("killed");
  isDown = false;
  const result = await replay(db, {}, { ...ada, publish });
  expect(result).toEqual({ replayed: ["1", "3"], resumed: [], capped: [], refused: ["2"] });
  expect(sent).toHaveLength(2);
  const refused = await show(db, "2");
  expect(refused).toMatchObject({ state: "dead", message: expect.stringContaining("too large") });
  expect(refused?.attempts).toHaveLength(2);
  expect((await audit(db))[1]).toMatchObject({ operation: "refused", ...ada, letters: ["2"] });
  const both = await replay(db, {}, { ...ada, publish });
  expect(both).toMatchObject({ replayed: [], refused: ["2"] });
});

test("a replay whose lock is lost with its connection tells what it has sent", async () => {
  const { db } = place();
  await bury(db, [letter(1, null)]);
  const publish = async () => {
    await db.query(
      "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    );
  };
  expect(await replay(db, {}, { ...ada, publish })).toMatchObject({ replayed: ["1"] });
  expect(await replay(db, {}, { ...ada, publish })).toMatchObject({ replayed: [] });
});

describe("what the database refuses", () => {
  test.each([
    ["a state that has no way there", "UPDATE dead_letters SET state = 'resolved'"],
    ["other bytes", "UPDATE dead_letters SET value = 'x'"],
    ["another origin", "UPDATE dead_letters SET partition = 7"],
    ["a replay that does not count", "UPDATE dead_letters SET state = 'replaying'"],
    ["a purge that keeps the bytes", "UPDATE dead_letters SET state = 'purged' WHERE id = 1"],
    ["to change what was purged", "UPDATE dead_letters SET message = 'x' WHERE id = 2"],
    ["to edit what is not dead", "UPDATE dead_letters SET edited_value = 'x' WHERE id = 3"],
    ["a shorter history", "UPDATE dead_letters SET attempts = '[]' WHERE id = 1"],
    ["another history", `UPDATE dead_letters SET attempts = '[{"attempt": 1}]' WHERE id = 1`],
    ["another time of burial", "UPDATE dead_letters SET buried_at = now() WHERE id = 1"],
    ["to delete a letter", "DELETE FROM dead_letters"],
    ["to empty the letters", "TRUNCATE dead_letters"],
    ["to change the audit trail", "UPDATE dead_letter_audit SET actor = 'eve'"],
    ["to delete from the audit trail", "DELETE FROM dead_letter_audit"],
    ["to empty the audit trail", "TRUNCATE dead_letter_audit"],
  ])("%s", async (_, statement) => {
    const { db } = place();
    await bury(db, [letter(1, Buffer.from("y")), letter(2, Buffer.from("z")), letter(3, Buffer.from("w"))]);
    await purge(db, { ids: ["2"] }, ada);
    await replay(db, { ids: ["3"] }, { ...ada, publish: async () => undefined });
    await expect(db.query(statement)).rejects.toMatchObject({ code: expect.stringMatching(/^23/) });
    await expect(db.query(`SET session_replication_role = replica; ${statement}`)).rejects.toThrow();
  });
});

test("a purge without an actor or a reason changes nothing; one with both can be read back", async () => {
  const { db } = place();
  await bury(db, [letter(1, Buffer.from("secret"))]);
  await expect(purge(db, {}, { actor: " ", reason: "x" })).rejects.toThrow("actor");
  await expect(purge(db, {}, { actor: "x", reason: "" })).rejects.toThrow("reason");
  expect((await list(db, { states: ["dead"] })).total).toBe(1);
  const { purged } = await purge(db, {}, ada);
  expect(await audit(db)).toMatchObject([{ operation: "purge", ...ada, letters: purged }]);
  expect(await show(db, purged[0] ?? "")).toMatchObject({ state: "purged", value: null });
});

test("a purge of letters that are not dead is refused, and the dead ones keep their bytes", async () => {
  const { db } = place();
  await bury(db, [letter(1, Buffer.from("precious"))]);
  await expect(purge(db, { states: ["resolved"] }, ada)).rejects.toThrow("only dead letters can be purged");
  await expect(purge(db, { states: ["dead", "replaying"] }, ada, true)).rejects.toThrow("only dead letters");
  expect((await list(db, {})).letters).toMatchObject([{ state: "dead", valueBytes: 8 }]);
});

test("an edited letter keeps both versions, and sends the new one", async () => {
  const { db } = place();
  await bury(db, [letter(1, Buffer.from("old"))]);
  await edit(db, "1", Buffer.from("new"), ada);
  const sent: Outgoing[] = [];
  await replay(db, {}, { ...ada, publish: async (some) => void sent.push(...some) });
  expect(sent[0]?.value?.toString()).toBe("new");
  const shown = await show(db, "1");
  expect([shown?.value?.toString(), shown?.editedValue?.toString()]).toEqual(["old", "new"]);
});

test("an alert fires once, not again after a restart, is posted again when the post failed, and resolves", async () => {
  const { db } = place();
  const posted: Alert[] = [];
  let isDown = true;
  const post = async (alert: Alert): Promise<void> => {
    if (isDown) throw new Error("down");
    posted.push(alert);
  };
  const look = (windowMs: number) =>
    lookOnce({ db, post, threshold: 3, windowMs, runbook: "here", onError: () => undefined });
  await look(60_000);
  await bury(db, [letter(1, null), letter(2, null), letter(3, null)]);
  await expect(look(60_000)).rejects.toThrow("down");
  isDown = false;
  for (let i = 0; i < 3; i += 1) await look(60_000);
  expect(posted).toMatchObject([{ status: "firing", count: 3, classes: { refused: 3 }, runbook: "here" }]);
  await look(0);
  await look(0);
  expect(posted.map(({ status }) => status)).toEqual(["firing", "resolved"]);
  expect(posted[1]?.id).toBe(posted[0]?.id);
});

test("several monitors that start again and again are one: the alert is posted once, and resolved once", async () => {
  const { db } = place();
  const posted: Alert[] = [];
  const errors: unknown[] = [];
  const start = () =>
    startAlertMonitor({
      db,
      post: async (alert) => void posted.push(alert),
      threshold: 3,
      windowMs: 1_500,
      everyMs: 5,
      runbook: "here",
      onError: (error) => errors.push(error),
    });
  await bury(db, [letter(1, null), letter(2, null), letter(3, null)]);
  const until = Date.now() + 2_500;
  while (Date.now() < until || posted.length < 2) {
    const stops = [start(), start(), start()];
    await new Promise((resolve) => setTimeout(resolve, 60));
    await Promise.all(stops.map((stop) => stop()));
  }
  expect(posted.map(({ status }) => status)).toEqual(["firing", "resolved"]);
  expect(posted[1]?.id).toBe(posted[0]?.id);
  expect(errors).toEqual([]);
});

test("while a webhook takes its time no transaction is open, and no other monitor posts", async () => {
  const { db } = place();
  const posted: Alert[] = [];
  const options = { db, threshold: 1, windowMs: 60_000, runbook: "here", onError: () => undefined };
  await bury(db, [letter(1, null)]);
  await lookOnce({
    ...options,
    async post(alert) {
      posted.push(alert);
      await lookOnce({ ...options, post: async (second) => void posted.push(second) });
      const { rows } = await db.query(
        "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
      );
      expect(rows).toEqual([]);
    },
  });
  await lookOnce({ ...options, post: async (alert) => void posted.push(alert) });
  expect(posted).toMatchObject([{ status: "firing" }]);
});

test("a monitor that loses its lock while it posts does not take a later change for told", async () => {
  const { db } = place();
  const posted: Alert[] = [];
  const post = async (alert: Alert) => void posted.push(alert);
  const options = { db, threshold: 1, windowMs: 60_000, runbook: "here", onError: () => undefined };
  const over = { ...options, windowMs: 0 };
  await bury(db, [letter(1, null)]);
  await lookOnce({
    ...options,
    async post(alert) {
      await post(alert);
      await db.query(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
      );
      await lookOnce({ ...options, post });
      const fails = lookOnce({ ...over, post: () => Promise.reject(new Error("no answer")) });
      await expect(fails).rejects.toThrow("no answer");
    },
  });
  await lookOnce({ ...over, post });
  expect(posted.map(({ status }) => status)).toEqual(["firing", "firing", "resolved"]);
  expect(posted[1]?.id).toBe(posted[0]?.id);
});

test("a letter whose retries took longer than the alert's window counts when it is buried", async () => {
  const { db } = place();
  const posted: Alert[] = [];
  const longAgo = [{ attempt: 1, at: new Date(Date.now() - 3_600_000).toISOString(), error: "503" }];
  await bury(db, [letter(1, null, { attempts: longAgo, class: "exhausted" })]);
  const post = async (alert: Alert) => void posted.push(alert);
  await lookOnce({ db, post, threshold: 1, windowMs: 60_000, runbook: "here", onError: () => undefined });
  expect(posted).toMatchObject([{ status: "firing", classes: { exhausted: 1 } }]);
});
