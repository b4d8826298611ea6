/** Numbers and times as the page writes them. */
import { formatNumber } from "./scale.ts";

/** As many digits as say something: 131967 is "131,967", 27.3134 is "27.31", 0.00123456 is "0.00123". */
export function quantity(value: number): string {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return String(value);
  if (size >= 1 || size === 0) return formatNumber(value, size >= 100 ? 1 : 2);
  return value.toLocaleString("en-US", { maximumSignificantDigits: 3 }).replace("-", "\u2212");
}

/** "<= 1000" becomes "≤ 1,000". */
export function threshold(text: string): string {
  return text
    .replaceAll("<=", "\u2264")
    .replaceAll(">=", "\u2265")
    .replace(/(?<![\d.])\d{4,}(\.\d+)?/g, (digits) => formatNumber(Number(digits), 6));
}

/** Milliseconds as seconds with one decimal: 21012.4 becomes "21.0 s". */
export function seconds(ms: number): string {
  const text = (ms / 1_000).toLocaleString("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  return `${text.replace("-", "\u2212")} s`;
}

export function megabytes(bytes: number): string {
  return bytes >= 1e9 ? `${formatNumber(bytes / 1e9, 1)} GB` : `${formatNumber(bytes / 1e6, 0)} MB`;
}

export function percent(share: number): string {
  return `${formatNumber(share * 100, 0)} %`;
}

/** Epoch milliseconds as "2026-03-14 09:26:53 UTC". */
export function dateTime(epochMs: number): string {
  const date = new Date(epochMs);
  if (Number.isNaN(date.getTime())) return "at an unknown time";
  return `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** "1 fault", "2 faults". */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${formatNumber(count, 0)} ${count === 1 ? one : many}`;
}

/** "a", "a and b", "a, b and c". */
export function listed(items: readonly string[]): string {
  if (items.length < 2) return items.join("");
  return `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`;
}
