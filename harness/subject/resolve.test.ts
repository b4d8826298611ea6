import { expect, test } from "vitest";
import { assertWatchable, resolveSubject } from "./resolve.ts";

const labHome = new URL("../../labs/ingest/lab.ts", import.meta.url).href;
const ofCommand = (...command: string[]) => resolveSubject(labHome, "solution", command);

test("of a command the files are watched, wherever in it they stand, and a program from PATH is not", () => {
  const subject = ofCommand("node", "--import", "tsx", "labs/ingest/solution.ts", "--verbose");
  expect(subject.files).toEqual(["labs/ingest/solution.ts"]);
  expect(() => assertWatchable(subject)).not.toThrow();
});

test("a command without a file of its own cannot be watched, and it is said what to do instead", () => {
  expect(() => assertWatchable(ofCommand("python3", "-m", "worker"))).toThrow(
    expect.objectContaining({
      name: "CannotRun",
      message: '--watch has nothing to watch: no file is named in "python3 -m worker"',
      remedies: expect.arrayContaining([expect.stringContaining("-- python3 worker.py")]),
    }),
  );
});

test("a subject of the lab is watched with its whole folder", () => {
  const subject = resolveSubject(labHome, "plain-insert", []);
  expect(subject.files).toHaveLength(1);
  expect(() => assertWatchable(subject)).not.toThrow();
});
