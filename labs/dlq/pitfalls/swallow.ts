/**
 * Mistake: what cannot be processed is logged, and counts as done.
 *
 * Why people make it: the stream must go on, and the log has everything anyway. It is what `catch` and a logger come
 * to by themselves.
 *
 * What it costs: the offset moves past the message. Nobody can look at it, correct it or send it again, and when the
 * log has been rotated nobody knows that it was there. The dashboard is green.
 *
 * Fails `lossless`.
 */
import { parts, work } from "../solution.ts";

await work({
  ...parts,
  async bury(_, letters) {
    for (const letter of letters) console.error(`skipped a ${letter.class} message: ${letter.message}`);
  },
});
