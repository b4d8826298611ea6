import fc from "fast-check";
import { expect, test } from "vitest";
import { escapeHtml, html, trusted } from "./html.ts";

test("markup from outside stays text, in an element and in an attribute", () => {
  const evil = `"><script>alert('x')</script>&`;
  const { markup } = html`<p title="${evil}">${evil}</p>`;
  const safe = "&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;";
  expect(markup).toBe(`<p title="${safe}">${safe}</p>`);
});

test("no text can add a tag or leave an attribute", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      expect(html`${text}`.markup).not.toMatch(/[<>"']/);
    }),
  );
});

test("escaped text is read back as it was", () => {
  const read = (text: string) =>
    text.replace(
      /&(lt|gt|quot|amp|#39);/g,
      (_, name) => ({ lt: "<", gt: ">", quot: '"', amp: "&", "#39": "'" })[name as "lt"],
    );
  fc.assert(fc.property(fc.string(), (text) => read(escapeHtml(text)) === text));
});

test("HTML goes in as it is, lists are joined, and nothing is written for what is absent", () => {
  const item = html`<b>${"a<b"}</b>`;
  expect(html`${[item, "<"]}${null}${undefined}${false}${0}${trusted("<hr>")}`.markup).toBe(
    "<b>a&lt;b</b>&lt;0<hr>",
  );
});

test("an object that only looks like HTML is not taken for it", () => {
  const forged = { markup: "<script>" } as unknown as string;
  expect(html`${forged}`.markup).not.toContain("<script>");
});
