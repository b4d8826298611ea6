/** The record on disk: written whole or not at all, and read with suspicion. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { CannotRun } from "../cannot-run.ts";
import { replaceFile } from "../replace-file.ts";
import { messageOf } from "../stack/readiness.ts";
import { type AnyRecord, drillRecordSchema, recordSchema, recordVersion } from "./record.ts";

export const recordFile = (folder: string): string => join(folder, "record.json");

/** @throws CannotRun when the disk is full or the folder cannot be written */
export async function writeRecord(folder: string, record: AnyRecord): Promise<void> {
  const file = recordFile(folder);
  try {
    await replaceFile(file, JSON.stringify(record));
  } catch (error) {
    throw new CannotRun(`cannot write ${file}: ${messageOf(error)}`, [
      "free some disk space, or choose another folder with --out",
    ]);
  }
}

/** @throws CannotRun naming the file and what is wrong with it */
export async function readRecord(folder: string): Promise<AnyRecord> {
  const file = recordFile(folder);
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw new CannotRun(`cannot read ${file}: ${messageOf(error)}`, [
      "name the folder of one run, such as reports/ingest/<run>",
    ]);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CannotRun(`${file} is not JSON: ${messageOf(error)}`, [
      "it was cut short or edited; run the lab again",
    ]);
  }
  const version =
    typeof value === "object" && value !== null && "version" in value ? value.version : undefined;
  if (version !== recordVersion) {
    throw new CannotRun(
      `${file} has record version ${JSON.stringify(version)}; this Sluice reads version ${recordVersion}`,
      ["judge it with the Sluice that wrote it, or run the lab again"],
    );
  }
  const isDrill = typeof value === "object" && value !== null && "drill" in value;
  const parsed = (isDrill ? drillRecordSchema : recordSchema).safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new CannotRun(
      `${file} is not a valid record: ${issue?.path.join(".") || "(root)"}: ${issue?.message}`,
      ["it was edited or written by another program; run the lab again"],
    );
  }
  return parsed.data;
}
