/**
 * Fires once when dead letters come faster than a threshold, and resolves when that is over. Its state is a row of the
 * database, so that several workers are one monitor, and a restart does not fire again. What counts is when a message
 * became a letter, and not when it first failed: its retries lie between the two.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { openPoster } from "../http/poster.ts";
import { type Database, inTransaction } from "../postgres/open.ts";
import { underSessionLock } from "../postgres/session-lock.ts";

/** What is posted to the webhook as JSON. The same `id` may come twice after a crash; it is the same alert. */
export interface Alert {
  readonly id: string;
  readonly status: "firing" | "resolved";
  /** Dead letters in the last `windowMs`. */
  readonly count: number;
  readonly threshold: number;
  readonly windowMs: number;
  /** Dead letters by class, in the window. */
  readonly classes: Readonly<Record<string, number>>;
  /** A few letters, newest first. */
  readonly examples: readonly { readonly id: string; readonly class: string; readonly message: string }[];
  readonly runbook: string;
  /** ISO 8601: since when it fires. */
  readonly since: string;
}

export interface AlertOptions {
  readonly db: Database;
  readonly post: (alert: Alert) => Promise<void>;
  /** Fires at this many dead letters in `windowMs`; resolves at less than half of it. */
  readonly threshold: number;
  readonly windowMs: number;
  /** Default 250 ms. */
  readonly everyMs?: number;
  readonly runbook: string;
  /** Told of a look or a post that failed; it is tried again at the next look. */
  readonly onError: (error: unknown) => void;
}

const name = "dead letters";
const shownExamples = 3;

/** Returns the function that ends it. */
export function startAlertMonitor(options: AlertOptions): () => Promise<void> {
  const stopped = new AbortController();
  const running = (async () => {
    while (!stopped.signal.aborted) {
      await lookOnce(options).catch(options.onError);
      await delay(options.everyMs ?? 250, undefined, { signal: stopped.signal }).catch(() => undefined);
    }
  })();
  return async () => {
    stopped.abort();
    await running;
  };
}

interface State {
  readonly firing: boolean;
  readonly alert_id: string | null;
  readonly since: Date | null;
  readonly notified: boolean;
}

/** One look: what changes is stored first, and then told; what could not be told is told at the next look. */
export async function lookOnce(options: AlertOptions): Promise<void> {
  await options.db.query("INSERT INTO dead_letter_alerts (name) VALUES ($1) ON CONFLICT DO NOTHING", [name]);
  await noteChange(options);
  await tell(options);
}

const lastLetters = `FROM dead_letters WHERE buried_at > clock_timestamp() - $1 * interval '1 millisecond'`;

/** Fires or resolves, under an id that is stored before anybody is told. Not while a change is still to be told. */
async function noteChange({ db, threshold, windowMs }: AlertOptions): Promise<void> {
  await inTransaction(db, async (connection) => {
    const { rows: states } = await connection.query<State>(
      "SELECT firing, notified FROM dead_letter_alerts WHERE name = $1 FOR UPDATE SKIP LOCKED",
      [name],
    );
    const state = states[0];
    if (state === undefined || !state.notified) return;
    const { rows } = await connection.query<{ count: number }>(
      `SELECT count(*)::int AS count ${lastLetters}`,
      [windowMs],
    );
    const count = rows[0]?.count ?? 0;
    const firing = state.firing ? count >= threshold / 2 : count >= threshold;
    if (firing === state.firing) return;
    await connection.query(
      firing
        ? "UPDATE dead_letter_alerts SET firing = true, alert_id = $2, since = clock_timestamp(), notified = false WHERE name = $1"
        : "UPDATE dead_letter_alerts SET firing = false, notified = false WHERE name = $1",
      firing ? [name, randomUUID()] : [name],
    );
  });
}

/**
 * Under a lock, so that of several monitors one posts; and in no transaction, since a webhook may take seconds to answer.
 * What is told is marked last: after a crash in between it is told again, under the same id.
 */
async function tell(options: AlertOptions): Promise<void> {
  const { db, post } = options;
  if ((await untold(db)) === undefined) return;
  await underSessionLock(db, "sluice: alert", async () => {
    // Another monitor may have told it since.
    const state = await untold(db);
    if (state?.alert_id == null) return;
    await post(await alertOf(options, state, state.alert_id));
    // Only what was told: had the lock gone with its connection, another monitor may have gone on.
    await db.query(
      "UPDATE dead_letter_alerts SET notified = true WHERE name = $1 AND alert_id = $2 AND firing = $3",
      [name, state.alert_id, state.firing],
    );
  });
}

async function untold(db: Database): Promise<State | undefined> {
  const { rows } = await db.query<State>(
    "SELECT firing, alert_id, since, notified FROM dead_letter_alerts WHERE name = $1 AND NOT notified",
    [name],
  );
  return rows[0];
}

async function alertOf(
  { db, threshold, windowMs, runbook }: AlertOptions,
  { firing, since }: State,
  id: string,
): Promise<Alert> {
  const { rows } = await db.query<{ class: string; count: number }>(
    `SELECT class, count(*)::int AS count ${lastLetters} GROUP BY class ORDER BY 2 DESC`,
    [windowMs],
  );
  const { rows: examples } = await db.query<Alert["examples"][number]>(
    "SELECT id::text, class, message FROM dead_letters ORDER BY dead_letters.id DESC LIMIT $1",
    [shownExamples],
  );
  return {
    id,
    status: firing ? "firing" : "resolved",
    count: rows.reduce((sum, row) => sum + row.count, 0),
    threshold,
    windowMs,
    classes: Object.fromEntries(rows.map((row) => [row.class, row.count])),
    examples,
    runbook,
    since: (since ?? new Date()).toISOString(),
  };
}

/** Posts to a webhook; rejects when it does not answer with 2xx within 5 s. */
export function postTo(url: string): (alert: Alert) => Promise<void> {
  const poster = openPoster(5_000);
  return async (alert) => {
    const status = await poster.post(url, Buffer.from(JSON.stringify(alert)));
    if (status < 200 || status > 299) throw new Error(`the webhook answered ${status}`);
  };
}
