/** Characters; enough for any message, too few for a stack. */
const longestMessage = 500;

/**
 * A text that Postgres can hold, for messages of errors: they quote their cause, and with it a NUL or half a
 * surrogate pair, on which the whole statement would fail. Longer ones than `longest` characters end in "...".
 */
export function storableText(text: string, longest = longestMessage): string {
  const shown = text.length > longest ? `${text.slice(0, longest)}...` : text;
  return shown.replaceAll("\0", "\u2400").replaceAll(/\p{Surrogate}/gu, "\ufffd");
}
