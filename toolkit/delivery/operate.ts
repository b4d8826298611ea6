/**
 * The operator's side of dead letters: list, show, replay, purge, audit. Every change and its entry in the audit
 * trail are one transaction.
 */
import { createHash } from "node:crypto";
import { type Database, inTransaction, type Queryable } from "../postgres/open.ts";
import type { DeadLetterState } from "./dead-letter-schema.ts";

export interface Filter {
  readonly ids?: readonly string[];
  readonly classes?: readonly string[];
  readonly topic?: string;
  readonly states?: readonly DeadLetterState[];
  /** First failed at least, or at most, this long ago. */
  readonly olderThanMs?: number;
  readonly youngerThanMs?: number;
}

/** A letter without its bytes: a list of thousands must not load megabytes. */
export interface LetterSummary {
  readonly id: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
  readonly class: string;
  readonly message: string;
  readonly state: DeadLetterState;
  readonly replayCount: number;
  /** null for a message without a value, and after a purge. */
  readonly valueBytes: number | null;
  readonly worker: string;
  readonly firstFailedAt: Date;
  readonly lastFailedAt: Date;
  /** When it became a dead letter. */
  readonly buriedAt: Date;
  readonly dedupeKey: string;
}

export interface Letter extends LetterSummary {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly editedValue: Buffer | null;
  /** Pairs of name and base64. */
  readonly headers: readonly (readonly [string, string | null])[];
  readonly stack: string | null;
  readonly attempts: readonly { readonly attempt: number; readonly at: string; readonly error: string }[];
}

export interface AuditEntry {
  readonly id: string;
  readonly at: Date;
  readonly operation: string;
  readonly actor: string;
  readonly reason: string;
  readonly letters: readonly string[];
  readonly detail: unknown;
}

/** Who does it, and why. */
export interface Responsible {
  readonly actor: string;
  readonly reason: string;
}

const summary = `id::text, topic, partition, "offset"::text, class, message, state, replay_count AS "replayCount",
  octet_length(value) AS "valueBytes", worker, first_failed_at AS "firstFailedAt", last_failed_at AS "lastFailedAt",
  buried_at AS "buriedAt", dedupe_key AS "dedupeKey"`;

/** @param at index of the first parameter */
export function conditionOf(filter: Filter, at = 1): { readonly sql: string; readonly values: unknown[] } {
  const values: unknown[] = [];
  const parts: string[] = [];
  const add = (sql: (parameter: string) => string, value: unknown): void => {
    if (value === undefined) return;
    values.push(value);
    parts.push(sql(`$${at + values.length - 1}`));
  };
  add((p) => `id = ANY(${p}::bigint[])`, filter.ids);
  add((p) => `class = ANY(${p}::text[])`, filter.classes);
  add((p) => `topic = ${p}`, filter.topic);
  add((p) => `state = ANY(${p}::text[])`, filter.states);
  add((p) => `first_failed_at <= clock_timestamp() - ${p} * interval '1 millisecond'`, filter.olderThanMs);
  add((p) => `first_failed_at >= clock_timestamp() - ${p} * interval '1 millisecond'`, filter.youngerThanMs);
  return { sql: parts.length === 0 ? "true" : parts.join(" AND "), values };
}

/** Oldest first; at most `limit`. `total` counts all that the filter finds. */
export async function list(
  db: Queryable,
  filter: Filter,
  limit = 1_000,
): Promise<{ total: number; letters: LetterSummary[] }> {
  const { sql, values } = conditionOf(filter);
  const counted = await db.query<{ total: number }>(
    `SELECT count(*)::int AS total FROM dead_letters WHERE ${sql}`,
    values,
  );
  const { rows } = await db.query<LetterSummary>(
    `SELECT ${summary} FROM dead_letters WHERE ${sql} ORDER BY id LIMIT $${values.length + 1}`,
    [...values, limit],
  );
  return { total: counted.rows[0]?.total ?? 0, letters: rows };
}

export async function show(db: Queryable, id: string): Promise<Letter | undefined> {
  const { rows } = await db.query<Letter>(
    `SELECT ${summary}, key, value, edited_value AS "editedValue", headers, stack, attempts FROM dead_letters WHERE id = $1`,
    [id],
  );
  return rows[0];
}

/**
 * Throws the bytes of dead letters away; who, when, why and what they were (class, size, SHA-256) stays.
 * @throws TypeError for a state other than dead, and without an actor or a reason, before anything is changed; a dry run
 *   needs neither of these two
 */
export async function purge(
  db: Database,
  filter: Filter,
  responsible: Responsible,
  dryRun = false,
): Promise<{ purged: string[] }> {
  if (!dryRun) checkResponsible(responsible);
  // Not left out of what is found: who asks for the resolved ones must not get the dead ones.
  if (filter.states?.some((state) => state !== "dead"))
    throw new TypeError("only dead letters can be purged");
  const { sql, values } = conditionOf({ ...filter, states: ["dead"] });
  return inTransaction(db, async (connection) => {
    const { rows } = await connection.query<{
      id: string;
      class: string;
      bytes: number | null;
      sha256: string | null;
    }>(
      `SELECT id::text, class, octet_length(value) AS bytes, encode(sha256(value), 'hex') AS sha256
       FROM dead_letters WHERE ${sql} ORDER BY id FOR UPDATE`,
      values,
    );
    const purged = rows.map(({ id }) => id);
    if (dryRun || purged.length === 0) return { purged };
    await connection.query(
      "UPDATE dead_letters SET state = 'purged', value = NULL, edited_value = NULL WHERE id = ANY($1::bigint[])",
      [purged],
    );
    await note(connection, "purge", responsible, purged, { purged: rows });
    return { purged };
  });
}

/** Puts other bytes beside the original ones; a replay sends them, and both are kept. */
export async function edit(
  db: Database,
  id: string,
  value: Buffer,
  responsible: Responsible,
): Promise<{ edited: string[] }> {
  checkResponsible(responsible);
  return inTransaction(db, async (connection) => {
    const { rows } = await connection.query<{ id: string }>(
      "UPDATE dead_letters SET edited_value = $2 WHERE id = $1 AND state = 'dead' RETURNING id::text",
      [id, value],
    );
    const edited = rows.map((row) => row.id);
    const sha256 = createHash("sha256").update(value).digest("hex");
    if (edited.length > 0)
      await note(connection, "edit", responsible, edited, { bytes: value.length, sha256 });
    return { edited };
  });
}

/** How many letters there are, by state and class; states and classes without any are left out. */
export async function count(
  db: Queryable,
): Promise<{ readonly state: DeadLetterState; readonly class: string; readonly letters: number }[]> {
  const { rows } = await db.query(
    "SELECT state, class, count(*)::int AS letters FROM dead_letters GROUP BY 1, 2 ORDER BY 1, 2",
  );
  return rows;
}

/** Newest first. */
export async function audit(db: Queryable, limit = 1_000): Promise<AuditEntry[]> {
  const { rows } = await db.query<AuditEntry>(
    `SELECT id::text, at, operation, actor, reason, letters::text[], detail
     FROM dead_letter_audit ORDER BY dead_letter_audit.id DESC LIMIT $1`,
    [limit],
  );
  return rows;
}

/** An entry of the audit trail, in the transaction of what it tells of. */
export async function note(
  db: Queryable,
  operation: string,
  { actor, reason }: Responsible,
  letters: readonly string[],
  detail: unknown,
): Promise<void> {
  await db.query(
    "INSERT INTO dead_letter_audit (operation, actor, reason, letters, detail) VALUES ($1, $2, $3, $4, $5::jsonb)",
    [operation, actor, reason, letters, JSON.stringify(detail)],
  );
}

export function checkResponsible({ actor, reason }: Responsible): void {
  if (actor.trim() === "") throw new TypeError("an actor is needed: who does this?");
  if (reason.trim() === "") throw new TypeError("a reason is needed: why is this done?");
}
