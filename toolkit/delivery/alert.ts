/**
 * Fires once when dead letters come faster than a threshold, and resolves when that is over. Its state is a row of the
 * database, so that several workers are one monitor, and a restart does not fire again.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { type Database, inTransaction } from "../postgres/open.ts";

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

/** One look, and the post it asks for, if any. */
export async function lookOnce(options: AlertOptions): Promise<void> {
  const { db, threshold, windowMs, runbook } = options;
  const seen = await inTransaction(db, async (connection) => {
    await connection.query("INSERT INTO dead_letter_alerts (name) VALUES ($1) ON CONFLICT DO NOTHING", [
      name,
    ]);
    const { rows: states } = await connection.query<State>(
      "SELECT firing, alert_id, since, notified FROM dead_letter_alerts WHERE name = $1 FOR UPDATE",
      [name],
    );
    const { rows } = await connection.query<{ class: string; count: number }>(
      `SELECT class, count(*)::int AS count FROM dead_letters
       WHERE first_failed_at > clock_timestamp() - $1 * interval '1 millisecond' GROUP BY class ORDER BY 2 DESC`,
      [windowMs],
    );
    const classes = Object.fromEntries(rows.map((row) => [row.class, row.count]));
    const count = rows.reduce((sum, row) => sum + row.count, 0);
    const state = states[0] ?? { firing: false, alert_id: null, since: null, notified: true };
    const firing = state.firing ? count >= threshold / 2 : count >= threshold;
    if (firing === state.firing) return { ...state, classes, count };
    const next = {
      firing,
      alert_id: firing ? randomUUID() : state.alert_id,
      since: firing ? new Date() : state.since,
      notified: false,
    };
    await connection.query(
      "UPDATE dead_letter_alerts SET firing = $2, alert_id = $3, since = $4, notified = false WHERE name = $1",
      [name, next.firing, next.alert_id, next.since],
    );
    return { ...next, classes, count };
  });
  if (seen.notified || seen.alert_id === null) return;
  const { rows: examples } = await db.query<{ id: string; class: string; message: string }>(
    "SELECT id::text, class, message FROM dead_letters ORDER BY dead_letters.id DESC LIMIT $1",
    [shownExamples],
  );
  await options.post({
    id: seen.alert_id,
    status: seen.firing ? "firing" : "resolved",
    count: seen.count,
    threshold,
    windowMs,
    classes: seen.classes,
    examples,
    runbook,
    since: (seen.since ?? new Date()).toISOString(),
  });
  await db.query(
    "UPDATE dead_letter_alerts SET notified = true WHERE name = $1 AND alert_id = $2 AND firing = $3",
    [name, seen.alert_id, seen.firing],
  );
}

/** Posts to a webhook; rejects when it does not answer with 2xx within 5 s. */
export function postTo(url: string): (alert: Alert) => Promise<void> {
  return async (alert) => {
    const answer = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(alert),
      signal: AbortSignal.timeout(5_000),
    });
    await answer.arrayBuffer();
    if (!answer.ok) throw new Error(`the webhook answered ${answer.status}`);
  };
}
