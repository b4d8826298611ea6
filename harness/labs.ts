/** The labs on disk: each folder of labs/ with a lab.ts. The harness finds them; it never imports one by name. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CannotRun } from "./cannot-run.ts";
import type { AnyLab } from "./drill.ts";

const labsFolder = fileURLToPath(new URL("../labs/", import.meta.url));

export function labNames(): string[] {
  return readdirSync(labsFolder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(labsFolder, entry.name, "lab.ts")))
    .map((entry) => entry.name)
    .sort();
}

/** All labs, in the order of the curriculum. */
export async function loadLabs(): Promise<AnyLab[]> {
  const labs = await Promise.all(labNames().map(loadLab));
  const place = ({ lesson = Number.POSITIVE_INFINITY }: AnyLab) => lesson;
  return labs.sort((a, b) => (place(a) === place(b) ? a.name.localeCompare(b.name) : place(a) - place(b)));
}

/** @throws CannotRun when there is no such lab */
export async function loadLab(name: string): Promise<AnyLab> {
  const names = labNames();
  if (!names.includes(name)) {
    throw new CannotRun(`there is no lab "${name}"`, [`choose one of: ${names.join(", ")}`]);
  }
  const module: { default: AnyLab } = await import(new URL(`../labs/${name}/lab.ts`, import.meta.url).href);
  return module.default;
}
