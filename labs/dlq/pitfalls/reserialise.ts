/**
 * Mistake: the letter keeps what the program made of the message, and not the message: its value and its headers as
 * text.
 *
 * Why people make it: text can be read in any SQL client, and in every test the payload is JSON.
 *
 * What it costs: of all messages these are the ones that are not what they should be. Bytes that are no UTF-8 become
 * U+FFFD, "no value" becomes "", and the evidence of what the producer really sent is destroyed. A replay sends
 * something that was never there.
 *
 * Fails `forensics`.
 */
import { parts, work } from "../solution.ts";

const asText = (bytes: Buffer | null | undefined): Buffer => Buffer.from(String(bytes ?? ""));

await work({
  ...parts,
  letter: (record, ...rest) =>
    parts.letter(
      {
        ...record,
        value: asText(record.value),
        headers: Object.fromEntries(
          Object.entries(record.headers).map(([name, value]) => [name, Buffer.from(String(value))]),
        ),
      },
      ...rest,
    ),
});
