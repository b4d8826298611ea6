/** Which messages of this lab cannot succeed, and what their letters must be called. */
import type { PlannedMessage } from "../../harness/load/messages.ts";

/** Name of the trouble that no replay ends. */
export const hopeless = "hopeless";

export const classes = ["malformed", "invalid", "too-large", "refused", "exhausted"] as const;
export type PoisonClass = (typeof classes)[number];

/** Undefined for a healthy message. */
export function classOf({ malformation, trouble }: PlannedMessage): PoisonClass | undefined {
  if (malformation === "oversized") return "too-large";
  if (malformation === "invalid") return "invalid";
  if (malformation !== undefined) return "malformed";
  if (trouble === "exhausted") return "exhausted";
  return trouble === undefined ? undefined : "refused";
}
