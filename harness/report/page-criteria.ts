/** The criteria: a table of all, then each in full beside the chart that shows it. */
import type { CriterionVerdict, Verdict } from "../verdict/verdict.ts";
import type { Chart } from "./chart.ts";
import { type Html, html } from "./html.ts";
import { chip } from "./page-parts.ts";
import { quantity, threshold } from "./words.ts";

/** A chart with its pictures, or with the reason why it has none. */
export type DrawnChart =
  | { readonly chart: Chart; readonly file: string; readonly wide: Buffer; readonly narrow: Buffer }
  | { readonly chart: Chart; readonly problem: string };

const order: readonly Verdict[] = ["fail", "unknown", "pass"];

/** Failures first, then what stayed open; the lab's order within. */
export function worstFirst(criteria: readonly CriterionVerdict[]): CriterionVerdict[] {
  return order.flatMap((verdict) => criteria.filter((one) => one.verdict === verdict));
}

function measuredOf(one: CriterionVerdict): string {
  return one.measured === null ? "not measured" : quantity(one.measured);
}

export function summaryTable(criteria: readonly CriterionVerdict[]): Html {
  const rows = worstFirst(criteria).map((one) => {
    const unit = one.measured === null ? "" : one.unit;
    return html`<tr>
<td class="said">${chip(one.verdict)}</td>
<td class="what"><a class="id" href="#${anchor("criterion", one.id)}">${one.id}</a> <span class="claim">${one.claim}</span></td>
<td class="right num">${measuredOf(one)}</td><td class="unit">${unit}</td>
<td class="right num">${threshold(one.threshold)}</td>
<td class="right num">${quantity(one.samples)}</td>
<td class="brief num">${measuredOf(one)} ${unit}</td>
</tr>`;
  });
  return html`<div class="card"><table class="summary">
<thead><tr><th>Verdict</th><th>Promise</th><th class="right">Measured</th><th></th><th class="right">Threshold</th><th class="right">Samples</th></tr></thead>
<tbody>${rows}</tbody></table></div>`;
}

/** So many cards are about as high as a chart; further ones go in a row below. */
const besideChart = 2;

/**
 * Every criterion once, beside the first chart that shows it; every chart once; failures first. What no
 * chart shows comes last.
 */
export function evidenceSections(criteria: readonly CriterionVerdict[], charts: readonly DrawnChart[]): Html {
  const homeOf = (one: CriterionVerdict) => charts.find(({ chart }) => chart.criteria.includes(one.id));
  const sorted = worstFirst(criteria);
  const inOrder = new Set([...sorted.flatMap((one) => homeOf(one) ?? []), ...charts]);
  const sections = [...inOrder].map((home) => {
    const shown = sorted.filter((one) => homeOf(one) === home);
    const others = shown.filter((one) => !hasBlame(one));
    return html`<div class="evidence beside">
${shown.filter(hasBlame).map((one) => criterionCard(one, charts, home))}
${figure(home, others.length > 0 ? "below" : "beside")}
${others.length > 0 && html`<div class="pile">${others.slice(0, besideChart).map((one) => criterionCard(one, charts, home))}</div>`}
${others.slice(besideChart).map((one) => criterionCard(one, charts, home))}</div>`;
  });
  const loose = sorted.filter((one) => homeOf(one) === undefined);
  if (loose.length > 0) {
    sections.push(
      html`<div class="evidence alone">${loose.map((one) => criterionCard(one, charts, undefined))}</div>`,
    );
  }
  return html`${sections}`;
}

function criterionCard(
  one: CriterionVerdict,
  charts: readonly DrawnChart[],
  home: DrawnChart | undefined,
): Html {
  const others = charts.filter((chart) => chart !== home && chart.chart.criteria.includes(one.id));
  const unit = one.measured === null ? "" : one.unit;
  // A short unit stands with both numbers, a long one is said once.
  const isShort = one.unit.length <= 4;
  const measured = html`${measuredOf(one)}${unit && (isShort ? html` ${unit}` : html`<small>${unit}</small>`)}`;
  return html`<article class="card criterion ${one.verdict}${hasBlame(one) && " blamed"}" id="${anchor("criterion", one.id)}">
<div>
<header><h3 class="id">${one.id}</h3>${chip(one.verdict)}</header>
<p class="claim">${one.claim}</p>
<dl class="measures">
<div><dt>Measured</dt><dd class="num">${measured}</dd></div>
<div><dt>Threshold</dt><dd class="num">${threshold(one.threshold)}${isShort && html` ${one.unit}`}</dd></div>
<div><dt>Samples</dt><dd class="num">${quantity(one.samples)}</dd></div>
</dl>
<p class="detail">${one.detail}</p>
${others.length > 0 && html`<p class="also">${home === undefined ? "Shown in" : "Also in"}: ${others.map(linkTo)}</p>`}
</div>
${hasBlame(one) && blame(one)}
</article>`;
}

function linkTo({ chart }: DrawnChart, index: number): Html {
  return html`${index > 0 && "; "}<a href="#${anchor("chart", chart.id)}">${chart.title}</a>`;
}

function hasBlame({ verdict, offending, expected, lookAt }: CriterionVerdict): boolean {
  return verdict !== "pass" && Boolean(offending?.length || expected || lookAt);
}

function blame({ offending, expected, lookAt }: CriterionVerdict): Html {
  const found = offending ?? [];
  return html`<dl class="blame">
${found.length > 0 && html`<dt>First found</dt><dd><ol>${found.map((item) => html`<li>${item}</li>`)}</ol></dd>`}
${expected && html`<dt>Expected</dt><dd>${expected}</dd>`}
${lookAt && html`<dt>Look next at</dt><dd>${lookAt}</dd>`}
</dl>`;
}

/** The caption goes under the picture, or beside it where nothing else is. */
function figure(drawn: DrawnChart, caption: "below" | "beside"): Html {
  const { chart } = drawn;
  if ("problem" in drawn) {
    return html`<figure class="plot caption-${caption}" id="${anchor("chart", chart.id)}">
<div class="card missing"><p><b>${chart.title}</b></p><p class="soft">This chart could not be drawn: ${drawn.problem}</p></div>
<figcaption>${chart.caption}</figcaption></figure>`;
  }
  const { width, height } = pngSize(drawn.wide);
  return html`<figure class="plot caption-${caption}" id="${anchor("chart", chart.id)}">
<a class="paper" style="display:block" href="${drawn.file}"><picture>
<source media="(max-width: 40rem)" srcset="${dataUri(drawn.narrow)}">
<img src="${dataUri(drawn.wide)}" width="${width}" height="${height}" alt="${`Chart: ${chart.title}`}">
</picture></a>
<figcaption>${chart.caption}</figcaption></figure>`;
}

function dataUri(png: Buffer): string {
  return `data:image/png;base64,${png.toString("base64")}`;
}

/** Width and height in CSS px, from the header of a PNG with two device pixels per CSS pixel. */
function pngSize(png: Buffer): { width: number; height: number } {
  return { width: png.readUInt32BE(16) / 2, height: png.readUInt32BE(20) / 2 };
}

/** An id for a link within the page. */
function anchor(kind: "criterion" | "chart", id: string): string {
  return `${kind}-${id.replace(/[^\w-]+/g, "-")}`;
}
