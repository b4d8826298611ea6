/**
 * `dlq serve`: the operator's page and what it asks for, on 127.0.0.1. It does what the command line does, by the same
 * functions and rules.
 *
 * Whoever opens a hostile page in the same browser must not operate letters by it, so:
 * - **Host** must be this server's own name: a name that was bound to 127.0.0.1 by a stranger is refused.
 * - **Token**: every answer with data needs a header that only the page itself knows; another site can neither read
 *   the page nor set the header without being asked, and it is refused when it asks.
 * - **Origin** must be the page's own for whatever changes something.
 * - **Policy**: no script, style or connection but this server's; no inline script, no frame around it. Payloads are
 *   put on the page as text (see page.js), and are sent as bytes to be saved, never to be shown by the browser.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { z } from "zod";
import * as operate from "../../delivery/operate.ts";
import type { Publish } from "../../delivery/replay.ts";
import type { Database } from "../../postgres/open.ts";
import { messageOf } from "../../worker/log.ts";
import type { Operations } from "../command.ts";
import { duration, filterOf, letterId, stateName } from "../filters.ts";

export interface PageOptions {
  readonly db: Database;
  readonly publish: Publish;
  readonly does: Operations;
  /** Names under which the server may be asked, with their port. */
  readonly hosts: readonly string[];
  /** Secret of this server; the page sends it back. */
  readonly token: string;
}

const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join("; ");
const headers = {
  "content-security-policy": policy,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-store",
};
const maxBodyBytes = 20_000_000;
const shownLetters = 500;

const responsible = { actor: z.string(), reason: z.string() };
const ids = z.array(z.string().regex(/^\d{1,18}$/)).min(1);
const replayBody = z.strictObject({
  ids,
  ...responsible,
  perSecond: z.int().min(1).optional(),
  maxReplays: z.int().min(1).optional(),
  dryRun: z.boolean().optional(),
});
const purgeBody = z.strictObject({ ids, ...responsible, dryRun: z.boolean().optional() });
const editBody = z.strictObject({ id: z.string().regex(/^\d{1,18}$/), value: z.string(), ...responsible });

export function pageApp({ db, publish, does, hosts, token }: PageOptions): Hono {
  const app = new Hono();

  app.use(async (c, next) => {
    for (const [name, value] of Object.entries(headers)) c.header(name, value);
    if (!hosts.includes(c.req.header("host") ?? "")) return c.text("This is not the server's name.\n", 403);
    await next();
  });
  app.use("/api/*", bodyLimit({ maxSize: maxBodyBytes }), async (c, next) => {
    const isRead = c.req.method === "GET";
    const origin = c.req.header("origin");
    if (!sameText(c.req.header("x-dlq-token") ?? "", token))
      return c.text("The page's token is missing.\n", 403);
    if (origin === undefined ? !isRead : !hosts.some((host) => origin === `http://${host}`)) {
      return c.text("Only the page itself may ask.\n", 403);
    }
    await next();
  });
  app.onError((error, c) => c.text(`${messageOf(error)}\n`, 400));

  const file =
    (name: string, type: string, change = (text: string) => text) =>
    async (c: Context) =>
      c.body(change(await readFile(new URL(name, import.meta.url), "utf8")), 200, { "content-type": type });
  app.get(
    "/",
    file("./index.html", "text/html; charset=utf-8", (text) => text.replace("{token}", token)),
  );
  app.get("/page.js", file("./page.js", "text/javascript; charset=utf-8"));
  app.get("/page.css", file("./page.css", "text/css; charset=utf-8"));

  app.get("/api/counts", async (c) => c.json({ counts: await operate.count(db), at: new Date() }));
  app.get("/api/letters", async (c) => {
    const asked = new URL(c.req.url).searchParams;
    return c.json(await does.list(db, filterIn(asked), shownLetters));
  });
  app.get("/api/letters/:id", async (c) => {
    const { key, value, editedValue, ...letter } = await letterOf(c.req.param("id"));
    return c.json({
      ...letter,
      key: key === null ? null : readable(key),
      headers: letter.headers.map(([name, one]) => [
        name,
        one === null ? null : readable(Buffer.from(one, "base64")),
      ]),
      editedBytes: editedValue?.length ?? null,
    });
  });
  app.get("/api/letters/:id/value", async (c) => bytes(c, (await letterOf(c.req.param("id"))).value));
  app.get("/api/letters/:id/edited", async (c) => bytes(c, (await letterOf(c.req.param("id"))).editedValue));
  app.get("/api/audit", async (c) => c.json({ entries: await does.audit(db, shownLetters) }));

  app.post("/api/replay", async (c) => {
    const { ids: which, actor, reason, ...how } = read(replayBody, await c.req.json());
    const { perSecond = 100, maxReplays = 3, dryRun = false } = how;
    const options = { publish, actor, reason, perSecond, maxReplays, dryRun };
    return c.json(await does.replay(db, { ids: which }, options));
  });
  app.post("/api/purge", async (c) => {
    const { ids: which, dryRun, ...who } = read(purgeBody, await c.req.json());
    return c.json(await does.purge(db, { ids: which }, who, dryRun === true));
  });
  app.post("/api/edit", async (c) => {
    const { id, value, ...who } = read(editBody, await c.req.json());
    const { edited } = await does.edit(db, id, Buffer.from(value), who);
    if (edited.length === 0) throw new Error(`letter ${id} is not there, or not dead`);
    return c.json({ edited });
  });

  async function letterOf(text: string): Promise<operate.Letter> {
    const letter = await does.show(db, letterId(text));
    if (letter === undefined) throw new Error(`there is no letter ${text}`);
    return letter;
  }
  return app;
}

function filterIn(asked: URLSearchParams): operate.Filter {
  const states = asked.getAll("state").flatMap((text) => stateName(text));
  const age = (name: string) => (asked.has(name) ? duration(asked.get(name) ?? "") : undefined);
  const [older, younger, topic] = [age("older"), age("younger"), asked.get("topic")];
  return filterOf([], {
    ...(asked.has("class") ? { class: asked.getAll("class") } : {}),
    ...(topic === null ? {} : { topic }),
    ...(states.length === 0 ? {} : { state: states }),
    ...(older === undefined ? {} : { olderThan: older }),
    ...(younger === undefined ? {} : { youngerThan: younger }),
  });
}

function read<Body>(schema: z.ZodType<Body>, given: unknown): Body {
  const { data, error } = schema.safeParse(given);
  if (error === undefined) return data;
  const [issue] = error.issues;
  throw new TypeError(`${issue?.path.join(".") || "the body"}: ${issue?.message}`);
}

/** To be saved, whatever is in it: a browser must not take it for a page. */
function bytes(c: Context, value: Buffer | null): Response {
  if (value === null) return c.text("There are no bytes.\n", 404);
  return c.body(new Uint8Array(value), 200, {
    "content-type": "application/octet-stream",
    "content-disposition": "attachment",
  });
}

/** Text as text, other bytes in hex. */
function readable(value: Buffer): string {
  const text = value.toString();
  return Buffer.from(text).equals(value) ? text : `0x${value.toString("hex")}`;
}

/** In a time that does not tell how much of it was right. */
function sameText(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
