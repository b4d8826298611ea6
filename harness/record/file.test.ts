import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { healthyRecord } from "../verdict/testing.ts";
import { readRecord, recordFile, writeRecord } from "./file.ts";
import { recordVersion } from "./record.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-record-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test("a record comes back as it was written, and nothing else lies beside it", async () => {
  const record = healthyRecord();
  await writeRecord(folder, record);
  expect(await readRecord(folder)).toEqual(record);
  expect(await readdir(folder)).toEqual(["record.json"]);
});

test("a folder without a record is named, with the way out", async () => {
  await expect(readRecord(folder)).rejects.toThrow(`cannot read ${recordFile(folder)}`);
});

test("a record cut short is said to be no JSON", async () => {
  await writeFile(recordFile(folder), JSON.stringify(healthyRecord()).slice(0, 5_000));
  await expect(readRecord(folder)).rejects.toThrow("is not JSON");
});

test("a record of another version is refused by its version, before anything else", async () => {
  await writeFile(recordFile(folder), JSON.stringify({ version: 99 }));
  await expect(readRecord(folder)).rejects.toThrow(
    `has record version 99; this Sluice reads version ${recordVersion}`,
  );
});

test("an edited record is refused with the path of the first wrong part", async () => {
  await writeFile(recordFile(folder), JSON.stringify({ ...healthyRecord(), seed: "seven" }));
  await expect(readRecord(folder)).rejects.toThrow("is not a valid record: seed");
});

test("a folder that cannot be written gives one error that names the file", async () => {
  await expect(writeRecord(join(folder, "missing"), healthyRecord())).rejects.toThrow("cannot write");
  expect(await readdir(folder)).toEqual([]);
});
