import { spawn } from "node:child_process";
import { Kafka, logLevel } from "kafkajs";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
// biome-ignore lint/style/noRestrictedImports: a test on real servers borrows what the harness makes topics with
import { createTopics } from "../../harness/topics.ts";
import { bury, effectKeyOf, replayOf, resolve } from "../delivery/dead-letters.ts";
import { audit, list } from "../delivery/operate.ts";
import { letter, payloads, placeOfTest } from "../delivery/testing.ts";
import type { KafkaRecord } from "../kafka/record.ts";
import { kafkaSource } from "../kafka/source.ts";
import type { Message } from "../pipeline/message.ts";
import { startPipeline } from "../pipeline/pipeline.ts";
import { inTransaction } from "../postgres/open.ts";
import { operator } from "./command.ts";

const place = placeOfTest();
const because = ["--actor", "ada", "--reason", "a test"];
/** Of the replay that is killed; the figures of the README are those of 10,000. */
const letters = Number(process.env.LETTERS ?? 500);
const maxKills = Number(process.env.KILLS ?? 2);
let printed = "";
let said = "";
let topic = "";

beforeEach(async () => {
  const { stack, databaseUrl } = place();
  vi.stubEnv("DATABASE_URL", databaseUrl);
  vi.stubEnv("KAFKA_BROKERS", stack.direct.kafkaBrokers);
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    printed += text;
    return true;
  });
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    said += text;
    return true;
  });
  topic = `letters-${process.pid}-${Date.now().toString(36)}`;
  const admin = client().admin();
  await admin.connect();
  await createTopics(admin, [{ topic, numPartitions: 2 }]);
  await admin.disconnect();
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

const client = () =>
  new Kafka({ brokers: place().stack.direct.kafkaBrokers.split(","), logLevel: logLevel.NOTHING });

/** Exit code and what was printed; with `--json` read. */
async function run(...args: string[]): Promise<{ code: number; out: string; json: unknown; error: string }> {
  printed = said = "";
  const code = await operator(args);
  return {
    code,
    out: printed,
    json: args.includes("--json") && code === 0 ? JSON.parse(printed) : undefined,
    error: said,
  };
}

const ofTopic = (offset: number, value: Buffer | null, fields = {}) => {
  const made = letter(offset, value, fields);
  return { ...made, record: { ...made.record, topic } };
};

/** A worker that stores the effect of each message under its key, until `count` letters are resolved. */
async function consume(count: number): Promise<{ records: KafkaRecord[]; stop: () => Promise<void> }> {
  const { db, stack } = place();
  await db.query("CREATE TABLE effects (key text PRIMARY KEY, times integer NOT NULL DEFAULT 1)");
  const records: KafkaRecord[] = [];
  const pipeline = startPipeline({
    source: kafkaSource({
      brokers: stack.direct.kafkaBrokers.split(","),
      topic,
      groupId: topic,
      log: () => undefined,
    }),
    process: (message: Message<Buffer | null, KafkaRecord>) => message,
    write: ({ messages }) =>
      inTransaction(db, async (connection) => {
        const origins = messages.map(({ origin }) => origin);
        await connection.query(
          "INSERT INTO effects (key) SELECT DISTINCT unnest($1::text[]) ON CONFLICT DO NOTHING",
          [origins.map(effectKeyOf)],
        );
        await resolve(
          connection,
          origins.flatMap((origin) => replayOf(origin) ?? []),
        );
        records.push(...origins);
      }),
  });
  return {
    records,
    async stop() {
      await vi.waitFor(async () => expect((await list(db, { states: ["resolved"] }, 1)).total).toBe(count), {
        timeout: 60_000,
        interval: 50,
      });
      await pipeline.stop();
    },
  };
}

test("every payload survives list, show and replay through Kafka, byte for byte", async () => {
  await bury(
    place().db,
    payloads.map(([, value], i) => ofTopic(i, value)),
  );
  const { json } = await run("list", "--json");
  expect(json).toMatchObject({
    total: payloads.length,
    letters: payloads.map(([, value]) => ({ valueBytes: value?.length ?? null, state: "dead" })),
  });
  expect((await run("list")).out).toContain(`${payloads.length} of ${payloads.length}`);
  expect((await run("list", "--ids")).out).toBe("1\n2\n3\n4\n5\n6\n");
  for (const [i, [name, value]] of payloads.entries()) {
    const shown = await run("show", String(i + 1), "--json");
    expect(shown.json, name).toMatchObject({ value: value?.toString("base64") ?? null });
    // What a person sees obeys no control character of a payload.
    expect((await run("show", String(i + 1))).out.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
  }
  const worker = await consume(payloads.length);
  expect((await run("replay", "--all", "--json", ...because)).json).toMatchObject({
    capped: [],
    resumed: [],
  });
  await worker.stop();
  for (const [i, [name, value]] of payloads.entries()) {
    const got = worker.records.find((record) => replayOf(record)?.letterId === String(i + 1));
    expect(got?.value === null ? value === null : value !== null && got?.value.equals(value), name).toBe(
      true,
    );
    expect(got?.key, name).toEqual(letter(i, null).record.key);
    expect(got?.headers, name).toMatchObject(letter(i, null).record.headers);
  }
}, 60_000);

test("filters, dry runs, the cap, and the refusal to change everything for want of a word", async () => {
  const { db } = place();
  const old = [{ attempt: 1, at: new Date(Date.now() - 7_200_000).toISOString(), error: "x" }];
  await bury(db, [
    ofTopic(1, Buffer.from("a"), { class: "malformed", attempts: old }),
    ofTopic(2, null),
    letter(3, null),
  ]);
  const ids = async (...args: string[]) =>
    (await run("list", "--ids", ...args)).out.trim().split("\n").join(" ");
  expect(await ids("--class", "malformed")).toBe("1");
  expect(await ids("--class", "malformed", "--class", "refused")).toBe("1 2 3");
  expect(await ids("--topic", topic)).toBe("1 2");
  expect(await ids("--older-than", "1h")).toBe("1");
  expect(await ids("--younger-than", "1h")).toBe("2 3");
  expect(await ids("--state", "purged")).toBe("");
  expect(await run("replay", ...because)).toMatchObject({ code: 1, error: expect.stringContaining("--all") });
  expect(await run("purge", ...because)).toMatchObject({ code: 1, error: expect.stringContaining("--all") });
  expect(await run("list", "--older-than", "soon")).toMatchObject({ code: 2 });
  expect((await run("replay", "--all", "--dry-run", "--json")).json).toMatchObject({
    replayed: ["1", "2", "3"],
  });
  expect((await run("purge", "--class", "refused", "--dry-run", "--json")).json).toEqual({
    purged: ["2", "3"],
  });
  expect(await run("purge", "1")).toMatchObject({ code: 1, error: expect.stringContaining("actor") });
  expect(await run("purge", "1", "--actor", "ada")).toMatchObject({
    code: 1,
    error: expect.stringContaining("reason"),
  });
  expect(await audit(db)).toEqual([]);
  expect((await run("purge", "1", "--json", ...because)).json).toEqual({ purged: ["1"] });
  expect((await run("audit", "--json")).json).toMatchObject({
    entries: [{ operation: "purge", actor: "ada", letters: ["1"] }],
  });
  expect(await run("show", "7")).toMatchObject({ code: 1, error: "there is no letter 7\n" });
}, 60_000);

test(`a replay of ${letters} letters that is killed at random moments and run again gives each one effect`, async () => {
  const { db } = place();
  for (let from = 0; from < letters; from += 1_000) {
    const some = Math.min(1_000, letters - from);
    await bury(
      db,
      Array.from({ length: some }, (_, i) => ofTopic(from + i, Buffer.from(String(from + i)))),
    );
  }
  const worker = await consume(letters);
  const startedAt = performance.now();
  const kills: number[] = [];
  for (let code: number | null = null; code !== 0; ) {
    const tool = spawn(
      process.execPath,
      [
        "--import",
        "tsx",
        "toolkit/operator/main.ts",
        "replay",
        "--all",
        "--rate",
        "2000",
        "--json",
        ...because,
      ],
      { env: process.env, stdio: ["ignore", "pipe", "inherit"] },
    );
    const ended = new Promise<number | null>((resolve) => tool.once("close", resolve));
    if (kills.length < maxKills) {
      // Once some more are on their way, and at a random moment of the next tenth of a second.
      const least = ((kills.length + 0.5 + Math.random() * 0.4) * letters) / (maxKills + 1);
      await vi.waitFor(
        async () => {
          const { rows } = await db.query(
            "SELECT count(*)::int AS sent FROM dead_letters WHERE replay_count > 0",
          );
          expect(rows[0].sent).toBeGreaterThan(least);
        },
        { timeout: 30_000, interval: 5 },
      );
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 100));
      const { rows } = await db.query(
        "SELECT count(*)::int AS sent FROM dead_letters WHERE replay_count > 0",
      );
      kills.push(rows[0].sent);
      tool.kill("SIGKILL");
    }
    code = await ended;
  }
  await worker.stop();
  const tookS = ((performance.now() - startedAt) / 1_000).toFixed(1);
  const { rows } = await db.query(
    "SELECT count(*)::int AS effects, (SELECT count(*)::int FROM dead_letters WHERE replay_count <> 1) AS recounted FROM effects",
  );
  console.log(
    `  ${letters} letters, killed at ${kills.join(", ")}; ${worker.records.length} messages, ${rows[0].effects} effects, in ${tookS} s`,
  );
  expect(rows[0]).toEqual({ effects: letters, recounted: 0 });
  expect(worker.records.length).toBeGreaterThanOrEqual(letters);
  const replayed = (await audit(db)).flatMap((entry) => entry.letters);
  expect(new Set(replayed).size).toBe(replayed.length);
}, 120_000);
