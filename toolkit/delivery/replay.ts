/**
 * Replay: dead letters go back to the topic they came from.
 *
 * Some letters at a time are marked `replaying`, with their entry in the audit trail, and then published. When the
 * operator's tool dies in between, the letters marked and not known to be published are published by its next run,
 * under the same count: perhaps for the second time, and that is harmless, because every replay of a letter carries
 * the letter's dedupe key. What the broker refuses for good goes back to `dead` with the refusal in its history, and
 * holds up no other. One replay runs at a time: a lock of the database, which dies with its connection, sees to
 * it.
 */
import { setTimeout as delay } from "node:timers/promises";
import { isRefusal } from "../kafka/errors.ts";
import { type Database, inTransaction } from "../postgres/open.ts";
import { underSessionLock } from "../postgres/session-lock.ts";
import { storableText } from "../postgres/text.ts";
import { messageOf } from "../worker/log.ts";
import { replayHeaders } from "./dead-letters.ts";
import { checkResponsible, conditionOf, type Filter, note, type Responsible } from "./operate.ts";

export interface Outgoing {
  readonly topic: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer | Buffer[]>>;
}

/** Resolves when the broker has acknowledged all of them. */
export type Publish = (messages: readonly Outgoing[]) => Promise<void>;

export interface ReplayOptions extends Responsible {
  readonly publish: Publish;
  /** Letters a second. Default 100. */
  readonly perSecond?: number;
  /** A letter replayed this often is left alone. Default 3. */
  readonly maxReplays?: number;
  readonly dryRun?: boolean;
  /** The key of the effect; default the letter's own. */
  readonly dedupeKeyOf?: (letter: { readonly id: string; readonly dedupeKey: string }) => string;
}

export interface ReplayResult {
  readonly replayed: string[];
  /** Left by a replay that died, and published now. */
  readonly resumed: string[];
  /** Found by the filter and replayed too often already. */
  readonly capped: string[];
  /** Not taken by the broker, and dead again. */
  readonly refused: string[];
}

interface Marked {
  readonly id: string;
  readonly topic: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly (readonly [string, string | null])[];
  readonly replayCount: number;
  readonly dedupeKey: string;
}

const columns = `id::text, topic, key, coalesce(edited_value, value) AS value, headers,
  replay_count AS "replayCount", dedupe_key AS "dedupeKey"`;
const lockName = "sluice: replay of dead letters";
const lockWithinMs = 10_000;
/** Letters marked and published at once; payloads may be large. */
const maxBatch = 50;

/** @throws Error when another replay is running */
export async function replay(db: Database, filter: Filter, options: ReplayOptions): Promise<ReplayResult> {
  checkResponsible(options);
  const { perSecond = 100, maxReplays = 3, dryRun = false } = options;
  const states = filter.states ?? ["dead"];
  if (states.some((state) => state !== "dead" && state !== "resolved")) {
    throw new TypeError("only dead or resolved letters can be replayed");
  }
  const wanted = { ...filter, states };
  const capped = await idsOf(db, wanted, `replay_count >= ${Math.trunc(maxReplays)}`);
  if (dryRun) {
    return {
      replayed: await idsOf(db, wanted, `replay_count < ${Math.trunc(maxReplays)}`),
      resumed: [],
      capped,
      refused: [],
    };
  }
  return withLock(db, async () => {
    const startedAt = performance.now();
    const resumed: string[] = [];
    const replayed: string[] = [];
    const refused: string[] = [];
    const send = async (letters: readonly Marked[], done: string[]): Promise<void> => {
      const { taken, refusals } = await publishAll(letters, options);
      await notePublished(db, taken);
      await giveBack(db, refusals, options);
      done.push(...taken.map(({ id }) => id));
      refused.push(...refusals.map(({ letter }) => letter.id));
      const dueMs = ((resumed.length + replayed.length + refused.length) * 1_000) / perSecond;
      await delay(Math.max(0, dueMs - (performance.now() - startedAt)));
    };
    const size = Math.max(1, Math.min(maxBatch, Math.floor(perSecond / 10)));
    for (;;) {
      const orphans = await unpublished(db, size);
      if (orphans.length === 0) break;
      await send(orphans, resumed);
    }
    // What comes back while this runs is for the next replay: each letter goes out once in one run.
    const found = await idsOf(db, wanted, `replay_count < ${Math.trunc(maxReplays)}`);
    const todo = found.filter((id) => !refused.includes(id));
    for (let from = 0; from < todo.length; from += size) {
      const marked = await mark(db, todo.slice(from, from + size), states, options);
      if (marked.length > 0) await send(marked, replayed);
    }
    return { replayed, resumed, capped, refused };
  });
}

async function idsOf(db: Database, filter: Filter, also: string): Promise<string[]> {
  const { sql, values } = conditionOf(filter);
  const { rows } = await db.query<{ id: string }>(
    `SELECT id::text FROM dead_letters WHERE ${sql} AND ${also} ORDER BY dead_letters.id`,
    values,
  );
  return rows.map(({ id }) => id);
}

async function unpublished(db: Database, limit: number): Promise<Marked[]> {
  const { rows } = await db.query<Marked>(
    `SELECT ${columns} FROM dead_letters WHERE state = 'replaying' AND published_at IS NULL
     ORDER BY dead_letters.id LIMIT $1`,
    [limit],
  );
  return rows;
}

async function mark(
  db: Database,
  ids: readonly string[],
  states: readonly string[],
  responsible: Responsible,
): Promise<Marked[]> {
  return inTransaction(db, async (connection) => {
    const { rows } = await connection.query<Marked>(
      `UPDATE dead_letters SET state = 'replaying', replay_count = replay_count + 1, published_at = NULL
       WHERE id = ANY($1::bigint[]) AND state = ANY($2::text[]) RETURNING ${columns}`,
      [ids, states],
    );
    const marked = rows.map(({ id }) => id);
    if (marked.length > 0) await note(connection, "replay", responsible, marked, {});
    return rows;
  });
}

interface Refusal {
  readonly letter: Marked;
  readonly error: string;
}

/** Together, and one by one when the broker refuses that: it does not say which of them it means. */
async function publishAll(
  letters: readonly Marked[],
  options: ReplayOptions,
): Promise<{ readonly taken: readonly Marked[]; readonly refusals: readonly Refusal[] }> {
  try {
    await options.publish(letters.map((letter) => outgoing(letter, options.dedupeKeyOf)));
    return { taken: letters, refusals: [] };
  } catch (error) {
    if (!isRefusal(error)) throw error;
    const [letter] = letters;
    if (letter !== undefined && letters.length === 1) {
      return { taken: [], refusals: [{ letter, error: messageOf(error) }] };
    }
  }
  const taken: Marked[] = [];
  const refusals: Refusal[] = [];
  for (const letter of letters) {
    const one = await publishAll([letter], options);
    taken.push(...one.taken);
    refusals.push(...one.refusals);
  }
  return { taken, refusals };
}

/** What the broker refused is dead again, with the refusal for its last attempt. */
async function giveBack(db: Database, refusals: readonly Refusal[], responsible: Responsible): Promise<void> {
  if (refusals.length === 0) return;
  await inTransaction(db, async (connection) => {
    for (const { letter, error } of refusals) {
      const message = storableText(`the broker refused the replay: ${error}`);
      const attempt = { attempt: 1, at: new Date().toISOString(), error: message };
      await connection.query(
        `UPDATE dead_letters SET state = 'dead', message = $3, attempts = attempts || $4::jsonb,
           last_failed_at = clock_timestamp()
         WHERE id = $1 AND state = 'replaying' AND replay_count = $2`,
        [letter.id, letter.replayCount, message, JSON.stringify([attempt])],
      );
    }
    const ids = refusals.map(({ letter }) => letter.id);
    await note(connection, "refused", responsible, ids, {
      errors: refusals.map(({ error }) => storableText(error)),
    });
  });
}

/**
 * A letter that a worker has locked is leaving the state anyway, and is passed over: waiting for it while holding
 * others would be a deadlock.
 */
async function notePublished(db: Database, letters: readonly Marked[]): Promise<void> {
  await db.query(
    `UPDATE dead_letters SET published_at = clock_timestamp() WHERE id IN (
       SELECT id FROM dead_letters WHERE id = ANY($1::bigint[]) AND state = 'replaying' FOR UPDATE SKIP LOCKED)`,
    [letters.map(({ id }) => id)],
  );
}

function outgoing(letter: Marked, dedupeKeyOf = ({ dedupeKey }: Marked) => dedupeKey): Outgoing {
  // Without a prototype: a header may be called "constructor", or "__proto__".
  const headers: Record<string, Buffer | Buffer[]> = Object.create(null);
  for (const [name, base64] of letter.headers) {
    const bytes = Buffer.from(base64 ?? "", "base64");
    const known = headers[name];
    headers[name] = known === undefined ? bytes : [...(Array.isArray(known) ? known : [known]), bytes];
  }
  headers[replayHeaders.letter] = Buffer.from(letter.id);
  headers[replayHeaders.count] = Buffer.from(String(letter.replayCount));
  headers[replayHeaders.dedupeKey] = Buffer.from(dedupeKeyOf(letter));
  return { topic: letter.topic, key: letter.key, value: letter.value, headers };
}

/** Of several replays one runs at a time. */
async function withLock<Result>(db: Database, work: () => Promise<Result>): Promise<Result> {
  const done = await underSessionLock(db, lockName, work, lockWithinMs);
  if (done === undefined) throw new Error(`another replay is running: waited ${lockWithinMs} ms for its end`);
  return done.result;
}
