import type { z } from "zod";

/** Says of every issue where it is, what was expected and what was there; for an unknown name, the nearest known one. */
export function describeIssues(what: string, input: unknown, error: z.ZodError, namesAt: NamesAt): string {
  return error.issues.map((issue) => `${what}: ${describeIssue(input, issue, namesAt)}`).join("\n");
}

/** The names known at a path of the options; a number or a user's own name in the path is given as `*`. */
export type NamesAt = (path: readonly PropertyKey[]) => readonly string[];

function describeIssue(input: unknown, issue: z.core.$ZodIssue, namesAt: NamesAt): string {
  if (issue.code === "unrecognized_keys") {
    const known = namesAt(issue.path);
    return issue.keys
      .map((key) => `${pathOf([...issue.path, key])}: unknown name${suggestion(key, known)}`)
      .join("; ");
  }
  const value = issue.path.reduce<unknown>(
    (at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key],
    input,
  );
  return `${pathOf(issue.path)}: expected ${issue.message}, got ${display(value)}`;
}

function pathOf(path: readonly PropertyKey[]): string {
  return path.length === 0 ? "options" : path.map(String).join(".");
}

function suggestion(name: string, known: readonly string[]): string {
  const [nearest] = known
    .map((candidate) => ({ candidate, distance: editDistance(name.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  if (nearest !== undefined && nearest.distance <= Math.max(2, name.length / 3)) {
    return `, did you mean "${nearest.candidate}"?`;
  }
  return `, known are ${known.map((candidate) => `"${candidate}"`).join(", ")}`;
}

function display(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "function") return "a function";
  if (typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) return "an object";
  return String(value);
}

/** Levenshtein distance: single letters added, removed or replaced. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
