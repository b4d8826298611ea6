/** Small pieces that both pages use. */
import type { Verdict } from "../verdict/verdict.ts";
import { type Html, html } from "./html.ts";
import { styleSheet } from "./page-style.ts";

export const verdictWords: Readonly<Record<Verdict, string>> = {
  pass: "Passed",
  fail: "Failed",
  unknown: "Undecided",
};

/** A sign for each verdict, so that it is told by shape as well as by word and colour. */
export function sign(verdict: Verdict): Html {
  const shapes: Readonly<Record<Verdict, Html>> = {
    pass: html`<path d="M7 12.5l3.4 3.4L17.2 9"/>`,
    fail: html`<path d="M8 8l8 8M16 8l-8 8"/>`,
    unknown: html`<path d="M9 9.4c.3-1.7 1.5-2.6 3-2.6 1.7 0 3 1.1 3 2.7 0 2.300-3 2.400-3 4.5M12 17.1v.1"/>`,
  };
  return html`<svg viewBox="0 0 24 24" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round"><circle cx="12" cy="12" r="10.4" stroke-width="1.7"/>${shapes[verdict]}</svg>`;
}

export function chip(verdict: Verdict): Html {
  return html`<span class="chip ${verdict}">${sign(verdict)}${verdictWords[verdict]}</span>`;
}

/** A whole document; nothing in it is fetched from elsewhere. */
export function document(title: string, body: Html): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="icon" href="data:,">
${styleSheet()}
</head>
<body>
${body}
</body>
</html>
`.markup;
}
