/**
 * The worker's side of dead letters: a message that cannot succeed is buried with all that is known of it, and a
 * message that an operator sent again is told from a new one.
 *
 * Call `bury` and `resolve` with the connection of the transaction that stores the batch's effects: a letter is then
 * never lost and never doubled.
 */
import type { KafkaRecord } from "../kafka/record.ts";
import { byteaArray } from "../postgres/binary-array.ts";
import type { Queryable } from "../postgres/open.ts";
import { storableText } from "../postgres/text.ts";

/** Headers that a replay adds to those of the original message. */
export const replayHeaders = {
  letter: "dlq-letter",
  count: "dlq-replay",
  dedupeKey: "dlq-dedupe-key",
} as const;

/** One attempt at a message, as it is kept in the letter. */
export interface Attempt {
  /** 1 for the first. */
  readonly attempt: number;
  /** ISO 8601. */
  readonly at: string;
  readonly error: string;
}

/** What an operator sent again. */
export interface Replay {
  readonly letterId: string;
  /** 1 for the first replay. */
  readonly count: number;
  /** The key of the effect: the same for every replay of one letter. */
  readonly dedupeKey: string;
}

export interface DeadLetter {
  readonly record: KafkaRecord;
  /** A short name that an operator filters by: "malformed", "refused". */
  readonly class: string;
  readonly message: string;
  readonly stack?: string | undefined;
  /** At least one, in order. */
  readonly attempts: readonly Attempt[];
  readonly worker: string;
  /** The key its effect will have when it is replayed; default: its place in Kafka. */
  readonly dedupeKey?: string | undefined;
}

/** The largest count that the table can hold. */
const maxInt4 = 2 ** 31 - 1;

/** Undefined for a message that is no replay, or whose headers are not those of one. */
export function replayOf(record: KafkaRecord): Replay | undefined {
  const letterId = headerText(record, replayHeaders.letter);
  const dedupeKey = headerText(record, replayHeaders.dedupeKey);
  const count = Number(headerText(record, replayHeaders.count));
  if (letterId === undefined || dedupeKey === undefined) return undefined;
  if (!/^\d{1,18}$/.test(letterId) || !Number.isInteger(count) || count < 1 || count > maxInt4)
    return undefined;
  return { letterId, count, dedupeKey };
}

/** One key for every delivery of a message and every replay of its letter: its place in Kafka, or the letter's key. */
export const effectKeyOf = (record: KafkaRecord): string => replayOf(record)?.dedupeKey ?? placeOf(record);

function headerText(record: KafkaRecord, name: string): string | undefined {
  const value = record.headers[name];
  const last = Array.isArray(value) ? value.at(-1) : value;
  return last?.toString();
}

/** Pairs of name and base64 in the order of the headers, so that no byte and no repetition is lost. Only a NUL in a name, which jsonb cannot hold, is another character. */
export function packHeaders(headers: KafkaRecord["headers"]): [string, string | null][] {
  return Object.entries(headers).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((one): [string, string | null] => [
      storableText(name, Number.POSITIVE_INFINITY),
      one === undefined || one === null ? null : Buffer.from(one).toString("base64"),
    ]),
  );
}

/**
 * Stores letters. One that is there already (a redelivery) stays as it is. A replay that failed again goes back to its
 * letter, with the new failure added to its history, once. A message that says it is a replay, and of which there is
 * no letter, is a new one: a producer may copy headers from one topic to another.
 */
export async function bury(db: Queryable, letters: readonly DeadLetter[]): Promise<void> {
  const fresh = letters.filter(({ record }) => replayOf(record) === undefined);
  if (fresh.length > 0) await insert(db, fresh);
  const strangers: DeadLetter[] = [];
  for (const letter of letters) {
    const replay = replayOf(letter.record);
    if (replay === undefined || (await comeBack(db, letter, replay))) continue;
    if (!(await wasSent(db, letter, replay))) strangers.push(letter);
  }
  if (strangers.length > 0) await insert(db, strangers);
}

async function insert(db: Queryable, letters: readonly DeadLetter[]): Promise<void> {
  const records = letters.map(({ record }) => record);
  await db.query(
    `INSERT INTO dead_letters (topic, partition, "offset", key, value, headers, class, message, stack, attempts,
       worker, first_failed_at, last_failed_at, dedupe_key)
     SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bytea[], $5::bytea[], $6::jsonb[], $7::text[],
       $8::text[], $9::text[], $10::jsonb[], $11::text[], $12::timestamptz[], $13::timestamptz[], $14::text[])
     ORDER BY 1, 2, 3
     ON CONFLICT (topic, partition, "offset") DO NOTHING`,
    [
      records.map((record) => record.topic),
      records.map((record) => record.partition),
      records.map((record) => record.offset),
      byteaArray(records.map((record) => record.key)),
      byteaArray(records.map((record) => record.value)),
      records.map((record) => JSON.stringify(packHeaders(record.headers))),
      letters.map((letter) => letter.class),
      letters.map((letter) => storableText(letter.message)),
      letters.map(stackOf),
      letters.map((letter) => attemptsJson(letter)),
      letters.map((letter) => letter.worker),
      letters.map((letter) => letter.attempts[0]?.at ?? new Date().toISOString()),
      letters.map((letter) => letter.attempts.at(-1)?.at ?? new Date().toISOString()),
      letters.map((letter) => storableText(letter.dedupeKey ?? placeOf(letter.record))),
    ],
  );
}

/** Whether the letter was waiting for this. */
async function comeBack(db: Queryable, letter: DeadLetter, { letterId, count }: Replay): Promise<boolean> {
  const { rowCount } = await db.query(
    `UPDATE dead_letters
     SET state = 'dead', class = $3, message = $4, stack = $5, attempts = attempts || $6::jsonb, worker = $7,
       last_failed_at = clock_timestamp()
     WHERE id = $1 AND state = 'replaying' AND replay_count = $2 AND topic = $8`,
    [
      letterId,
      count,
      letter.class,
      storableText(letter.message),
      stackOf(letter),
      attemptsJson(letter),
      letter.worker,
      letter.record.topic,
    ],
  );
  return rowCount === 1;
}

/** Whether there was such a replay, so that this is one that has come back before, or comes late. */
async function wasSent(db: Queryable, { record }: DeadLetter, { letterId, count }: Replay): Promise<boolean> {
  const { rows } = await db.query(
    "SELECT FROM dead_letters WHERE id = $1 AND topic = $2 AND replay_count >= $3",
    [letterId, record.topic, count],
  );
  return rows.length > 0;
}

/** After the effects of these replays are stored, in the same transaction. */
export async function resolve(db: Queryable, replays: readonly Replay[]): Promise<void> {
  if (replays.length === 0) return;
  await db.query(
    "UPDATE dead_letters SET state = 'resolved' WHERE id = ANY($1::bigint[]) AND state = 'replaying'",
    [replays.map(({ letterId }) => letterId)],
  );
}

const attemptsJson = ({ attempts }: DeadLetter): string =>
  JSON.stringify(attempts.map((one) => ({ ...one, error: storableText(one.error) })));

const longestStack = 8_000;
const stackOf = ({ stack }: DeadLetter): string | null =>
  stack === undefined ? null : storableText(stack, longestStack);

const placeOf = ({ topic, partition, offset }: KafkaRecord): string => `${topic}/${partition}/${offset}`;
