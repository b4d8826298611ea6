/** What the operator's tool shows to people. Payloads come from strangers: control characters are never printed. */
import { isUtf8 } from "node:buffer";
import type { AuditEntry, Letter, LetterSummary } from "../delivery/operate.ts";

const shownBytes = 512;

export function listLines(letters: readonly LetterSummary[], total: number): string[] {
  const rows = letters.map((one) => [
    one.id,
    one.state,
    one.class,
    `${one.topic}/${one.partition}/${one.offset}`,
    one.valueBytes === null ? "none" : String(one.valueBytes),
    String(one.replayCount),
    one.firstFailedAt.toISOString(),
    printable(one.message).slice(0, 60),
  ]);
  return [
    ...columns([["id", "state", "class", "from", "bytes", "replays", "first failed", "message"], ...rows]),
    `${letters.length} of ${total}`,
  ];
}

export function letterLines(letter: Letter): string[] {
  return [
    ...columns([
      ["letter", letter.id],
      ["state", `${letter.state}, replayed ${letter.replayCount} times`],
      ["from", `${letter.topic}, partition ${letter.partition}, offset ${letter.offset}`],
      [
        "failed",
        `${letter.firstFailedAt.toISOString()}, last ${letter.lastFailedAt.toISOString()}, at ${letter.worker}`,
      ],
      ["class", letter.class],
      ["message", printable(letter.message)],
      ["dedupe key", printable(letter.dedupeKey)],
      ["key", letter.key === null ? "none" : printable(letter.key.toString())],
      ...letter.headers.map(([name, value]) => [
        "header",
        `${printable(name)}: ${printable(Buffer.from(value ?? "", "base64").toString())}`,
      ]),
      ...letter.attempts.map(({ attempt, at, error }) => [`attempt ${attempt}`, `${at} ${printable(error)}`]),
    ]),
    ...bytesLines("value", letter.value),
    ...(letter.editedValue === null ? [] : bytesLines("edited value", letter.editedValue)),
    ...(letter.stack === null
      ? []
      : ["stack", ...letter.stack.split("\n").map((line) => `  ${printable(line)}`)]),
  ];
}

export function auditLines(entries: readonly AuditEntry[]): string[] {
  return columns([
    ["id", "at", "operation", "actor", "letters", "reason"],
    ...entries.map((one) => [
      one.id,
      one.at.toISOString(),
      one.operation,
      printable(one.actor),
      String(one.letters.length),
      printable(one.reason),
    ]),
  ]);
}

function bytesLines(title: string, bytes: Buffer | null): string[] {
  if (bytes === null) return [`${title}: none`];
  const some = bytes.subarray(0, shownBytes);
  const cut = bytes.length > shownBytes ? `, the first ${shownBytes}` : "";
  return isUtf8(bytes)
    ? [`${title}: ${bytes.length} bytes of text${cut}`, `  ${printable(some.toString())}`]
    : [
        `${title}: ${bytes.length} bytes in hex${cut}`,
        ...(some.toString("hex").match(/.{1,64}/g) ?? []).map((line) => `  ${line}`),
      ];
}

/** Control characters as their code: a terminal must not obey a payload. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, (one) => `\\u{${(one.codePointAt(0) ?? 0).toString(16)}}`);
}

function columns(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows)
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
