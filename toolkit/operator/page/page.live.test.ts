import { existsSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { bury } from "../../delivery/dead-letters.ts";
import { audit, list, show } from "../../delivery/operate.ts";
import type { Outgoing } from "../../delivery/replay.ts";
import { letter, payloads, placeOfTest } from "../../delivery/testing.ts";
import { operations } from "../command.ts";
import { type ServedPage, servePage } from "./serve.ts";

const browserPath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const hasBrowser = existsSync(browserPath);
if (!hasBrowser)
  console.log(`  the page is not tested in a browser: there is no ${browserPath} (set CHROMIUM)`);

const place = placeOfTest();
let served: ServedPage;
let sent: Outgoing[];

beforeEach(async () => {
  sent = [];
  const publish = async (some: readonly Outgoing[]) => void sent.push(...some);
  served = await servePage({ db: place().db, publish, does: operations }, 0);
  await bury(
    place().db,
    payloads.map(([name, value], i) =>
      letter(i, value, { class: i === 0 ? "refused" : "malformed", message: `${name} <b onclick=alert(1)>` }),
    ),
  );
});
afterEach(() => served.close());

describe("what is not the page itself", () => {
  const ask = (path: string, headers: Record<string, string>, body?: unknown) =>
    fetch(`${served.url}${path}`, {
      headers: { "content-type": "application/json", ...headers },
      ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
    });
  const tokenOf = async () =>
    /name="dlq-token" content="([^"]+)"/.exec(await (await fetch(served.url)).text())?.[1] ?? "";
  const purge = { ids: ["1"], actor: "eve", reason: "because" };

  test("without the token nothing is told and nothing is done", async () => {
    for (const path of [
      "/api/counts",
      "/api/letters",
      "/api/letters/1",
      "/api/letters/1/value",
      "/api/audit",
    ]) {
      expect((await ask(path, {})).status).toBe(403);
      expect((await ask(path, { "x-dlq-token": "guess" })).status).toBe(403);
    }
    expect((await ask("/api/purge", { origin: served.url }, purge)).status).toBe(403);
  });

  test("with the token, and from another origin or from none, nothing is done", async () => {
    const token = { "x-dlq-token": await tokenOf() };
    expect((await ask("/api/counts", token)).status).toBe(200);
    for (const origin of ["http://evil.example", "null", served.url.replace("http", "https")]) {
      expect((await ask("/api/purge", { ...token, origin }, purge)).status).toBe(403);
    }
    expect((await ask("/api/purge", token, purge)).status).toBe(403);
    expect((await list(place().db, { states: ["purged"] })).total).toBe(0);
    expect((await ask("/api/purge", { ...token, origin: served.url }, purge)).status).toBe(200);
  });

  test("under another name the server says nothing, not even the page", async () => {
    const { port } = new URL(served.url);
    const { request } = await import("node:http");
    const status = await new Promise((resolve) => {
      request(
        { port, host: "127.0.0.1", path: "/", headers: { host: `rebound.example:${port}` } },
        (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        },
      ).end();
    });
    expect(status).toBe(403);
  });

  test("the same rules as on the command line: no purge without an actor or a reason, no unknown field", async () => {
    const headers = { "x-dlq-token": await tokenOf(), origin: served.url };
    for (const body of [
      { ...purge, actor: " " },
      { ...purge, reason: "" },
      { ...purge, everything: true },
      { ids: [], actor: "a", reason: "b" },
    ]) {
      expect((await ask("/api/purge", headers, body)).status).toBe(400);
    }
    expect((await list(place().db, { states: ["purged"] })).total).toBe(0);
  });
});

describe.skipIf(!hasBrowser)("in a real browser", () => {
  let browser: Browser;
  let page: Page;
  let trouble: string[];
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: browserPath, args: ["--no-sandbox"] });
  });
  afterAll(() => browser?.close());
  beforeEach(async () => {
    page = await browser.newPage({ viewport: { width: 1440, height: 900 }, acceptDownloads: true });
    trouble = [];
    page.on("dialog", (dialog) => {
      trouble.push(`a dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("pageerror", (error) => trouble.push(error.message));
    page.on("console", (line) => {
      if (line.type() === "error") trouble.push(line.text());
    });
    page.on("response", async (answer) => {
      if (answer.status() >= 400) trouble.push(`${answer.url()}: ${await answer.text()}`);
    });
    await page.goto(served.url);
    await page.waitForSelector("#rows tr");
  });
  afterEach(async () => {
    expect(await page.evaluate("window.pwned")).toBeUndefined();
    expect(trouble).toEqual([]);
    await page.close();
  });

  const rows = (count: number) =>
    vi.waitFor(async () => expect(await page.locator("#rows tr").count()).toBe(count), { timeout: 10_000 });
  const savedBytes = async (): Promise<Buffer> => {
    const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save")]);
    return readFileSync(await download.path());
  };
  const act = async (button: string, actor: string, reason: string): Promise<void> => {
    await page.click(button);
    await page.fill("#confirm [name=actor]", actor);
    await page.fill("#confirm [name=reason]", reason);
    await page.click("#go");
  };

  test("every payload is shown as text or hex, and saved byte for byte; none of it runs", async () => {
    for (const [i, [name, value]] of payloads.entries()) {
      await page.click(`tr[data-letter="${i + 1}"] td.message`);
      await page.waitForSelector(`#letter-title:has-text("Letter ${i + 1} ")`);
      if (value === null) {
        expect(await page.textContent("#bytes"), name).toBe("The message has no value.");
        continue;
      }
      expect((await savedBytes()).equals(value), name).toBe(true);
      await page.click('[data-view="hex"]');
      const hex = (await page.textContent("#bytes")) ?? "";
      const first = hex.split("\n")[0]?.slice(8, 55).trim().replaceAll(" ", "") ?? "";
      expect(first, name).toBe(value.subarray(0, 16).toString("hex"));
      await page.click('[data-view="text"]');
      if (i === 0) expect(await page.textContent("#bytes")).toBe(value.toString());
      if (name === "a NUL") expect(await page.textContent("#bytes")).toBe('{"a":"\\u{0}"}');
    }
    expect(await page.locator("#rows b, #rows script, #rows img").count()).toBe(0);
    if (process.env.SCREENSHOT !== undefined) await page.screenshot({ path: process.env.SCREENSHOT });
  });

  test("filters narrow the list, and counts follow the table without a reload", async () => {
    await page.click("#classes .chip:has-text('refused')");
    await rows(1);
    await page.click("#filters [type=reset]");
    await rows(payloads.length);
    await bury(place().db, [letter(100, Buffer.from("late"))]);
    await rows(payloads.length + 1);
    expect(await page.textContent("#states button")).toContain(String(payloads.length + 1));
  });

  test("a replay sends what was picked byte for byte, and is in the audit trail with who and why", async () => {
    await page.check("#pick-all");
    await act("#replay", "ada", "the gateway is mended");
    await page.waitForSelector("#notice:has-text('Replayed 6')");
    for (const [i, [name, value]] of payloads.entries()) {
      const got = sent[i]?.value ?? null;
      expect(got === null ? value === null : value?.equals(got), name).toBe(true);
    }
    await page.click("#show-audit");
    await page.waitForSelector("#entries td:has-text('the gateway is mended')");
    expect(await audit(place().db)).toMatchObject([{ operation: "replay", actor: "ada" }]);
  });

  test("an edit keeps both versions; a purge needs who and why, and leaves the rest", async () => {
    await page.click('tr[data-letter="4"] td.message');
    await page.fill("#edit-value", '{"a":"b"}');
    await act("#edit button", "ada", "the producer sent it anew");
    await page.waitForSelector("#notice:has-text('new bytes')");
    const edited = await show(place().db, "4");
    expect([edited?.value, edited?.editedValue].map(String)).toEqual(['{"a":"\0"}', '{"a":"b"}']);

    await page.check('tr[data-letter="1"] input');
    await page.click("#purge");
    await page.click("#go");
    expect(await page.isVisible("#confirm")).toBe(true);
    await page.click("#cancel");
    expect((await show(place().db, "1"))?.state).toBe("dead");
    await act("#purge", "ada", "not ours");
    await page.waitForSelector("#notice:has-text('Purged 1')");
    expect(await show(place().db, "1")).toMatchObject({ state: "purged", value: null });
  });

  test("a page of another site reads nothing and changes nothing", async () => {
    const foreign: Server = createServer((_, response) => {
      response.setHeader("content-type", "text/html");
      response.end("<h1>another site</h1>");
    });
    await new Promise<void>((resolve) => foreign.listen(0, "127.0.0.1", resolve));
    const elsewhere = await browser.newPage();
    await elsewhere.goto(`http://127.0.0.1:${(foreign.address() as AddressInfo).port}/`);
    const tried = await elsewhere.evaluate(async (url) => {
      const body = JSON.stringify({ ids: ["1"], actor: "eve", reason: "because" });
      const how: [string, RequestInit][] = [
        ["/", {}],
        ["/api/letters", { headers: { "x-dlq-token": "guess" } }],
        ["/api/purge", { method: "POST", body, headers: { "content-type": "application/json" } }],
        ["/api/purge", { method: "POST", body, mode: "no-cors" }],
      ];
      const answers = how.map(([path, init]) =>
        fetch(url + path, init).then(
          (answer) => answer.type,
          () => "refused",
        ),
      );
      return Promise.all(answers);
    }, served.url);
    expect(tried).toEqual(["refused", "refused", "refused", expect.stringMatching(/opaque|refused/)]);
    await elsewhere.close();
    foreign.close();
    expect((await list(place().db, { states: ["dead"] })).total).toBe(payloads.length);
  });
});
