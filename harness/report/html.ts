/** HTML that is safe by default: what is put into a template is escaped unless it is HTML already. */

/** Only `html` and `trusted` make one, so that a string from outside never is taken for markup. */
export interface Html {
  readonly markup: string;
  readonly [isHtml]: true;
}

const isHtml: unique symbol = Symbol("html");

type Insert = Html | string | number | null | undefined | false | readonly Insert[];

/**
 * Tagged template. Strings and numbers are escaped, for text and for quoted attributes alike; arrays are
 * joined; null, undefined and false give nothing.
 */
export function html(strings: TemplateStringsArray, ...inserts: Insert[]): Html {
  let markup = strings[0] ?? "";
  for (const [index, insert] of inserts.entries()) markup += markupOf(insert) + (strings[index + 1] ?? "");
  return trusted(markup);
}

/** Marks text of this program's own, such as a style sheet, as HTML. Never for text from outside. */
export function trusted(markup: string): Html {
  return { markup, [isHtml]: true };
}

function markupOf(insert: Insert): string {
  if (insert === null || insert === undefined || insert === false) return "";
  if (typeof insert === "string" || typeof insert === "number") return escapeHtml(String(insert));
  if (isList(insert)) return insert.map(markupOf).join("");
  return insert[isHtml] === true ? insert.markup : escapeHtml(String(insert));
}

function isList(insert: Html | readonly Insert[]): insert is readonly Insert[] {
  return Array.isArray(insert);
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}
