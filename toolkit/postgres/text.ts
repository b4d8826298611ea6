const longestText = 500;

/**
 * A text that Postgres can hold, for messages of errors: they quote their cause, and with it a NUL or half a
 * surrogate pair, on which the whole statement would fail. Longer ones end in "...".
 */
export function storableText(text: string): string {
  const shown = text.length > longestText ? `${text.slice(0, longestText)}...` : text;
  return shown.replaceAll("\0", "\u2400").replaceAll(/\p{Surrogate}/gu, "\ufffd");
}
