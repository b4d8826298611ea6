/**
 * What a payment message must be. Strict, because the bytes that pass go to Postgres as they are: what is accepted
 * here must be stored exactly, and what cannot be stored must be refused here with a reason a person can use.
 * (A whole number written as `1.5e3` passes, and is refused by Postgres: that goes to `rejected_messages` too.)
 */
import { isUtf8 } from "node:buffer";
import { isPlainPayment } from "./payment-scan.ts";

const uuid = /^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$/;
/** ISO 8601 with date, time and offset; without an offset a time means something else on every server. */
const iso8601 =
  /^(?!0000)\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3])(?::[0-5]\d){2}(?:\.\d{1,9})?(?:Z|[+-](?:0\d|1[0-4]):[0-5]\d)$/;

/** What is wrong with a message's value, in one line; undefined for a well-formed payment. */
export function problemOf(value: Buffer | null): string | undefined {
  if (value === null) return "the message has no value";
  return isPlainPayment(value) ? undefined : problemOfParsed(value);
}

/** The same of any value, the long way: by parsing it. */
export function problemOfParsed(value: Buffer): string | undefined {
  if (value.length === 0) return "the value is empty";
  if (!isUtf8(value)) return "the value is not UTF-8";
  const text = value.toString();
  let payment: unknown;
  try {
    payment = JSON.parse(text);
  } catch (error) {
    return `the value is not JSON: ${error instanceof Error ? error.message : error}`;
  }
  if (typeof payment !== "object" || payment === null || Array.isArray(payment))
    return "the value is not an object";
  const { eventId, accountId, amountCents, occurredAt, sequence, padding } = payment as Record<
    string,
    unknown
  >;
  if (typeof eventId !== "string" || !uuid.test(eventId)) return wrong("eventId", eventId, "a UUID");
  if (typeof accountId !== "string" || accountId === "")
    return wrong("accountId", accountId, "a non-empty string");
  if (!Number.isSafeInteger(amountCents)) return wrong("amountCents", amountCents, "a whole number of cents");
  if (!isTimestamp(occurredAt)) return wrong("occurredAt", occurredAt, "an ISO 8601 time with its offset");
  if (!Number.isSafeInteger(sequence) || (sequence as number) < 0) {
    return wrong("sequence", sequence, "a whole number of at least 0");
  }
  if (typeof padding !== "string") return wrong("padding", padding, "a string");
  // In JSON that is UTF-8 an escape is the only way to a character that Postgres cannot store.
  if (text.includes("\\u")) {
    if (!isStorable(accountId)) return `accountId ${unstorable}`;
    if (!isStorable(padding)) return `padding ${unstorable}`;
  }
  return undefined;
}

function isTimestamp(value: unknown): boolean {
  if (typeof value !== "string" || !iso8601.test(value)) return false;
  const day = Number(value.slice(8, 10));
  return day <= 28 || day <= daysOfMonth(Number(value.slice(0, 4)), Number(value.slice(5, 7)));
}

function daysOfMonth(year: number, month: number): number {
  return new Date(Date.UTC(2000 + (year % 400), month, 0)).getUTCDate();
}

/** Postgres text holds every character but NUL; half of a surrogate pair is no character. */
function isStorable(text: string): boolean {
  return !text.includes("\0") && !/\p{Surrogate}/u.test(text);
}

const unstorable = "has a NUL or half a surrogate pair, which cannot be stored as text";

function wrong(field: string, value: unknown, expected: string): string {
  if (value === undefined) return `${field} is missing`;
  const shown = JSON.stringify(value);
  return `${field} must be ${expected}, and is ${shown.length > 60 ? `${shown.slice(0, 60)}...` : shown}`;
}
