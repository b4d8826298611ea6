import { expect, test, vi } from "vitest";
import { parseCommandLine } from "./options.ts";

const labs = ["ingest", "dlq"];

test("defaults are those of the documentation, and the seed is drawn", async () => {
  const line = await parseCommandLine(["lab", "ingest"], labs);
  expect(line).toMatchObject({
    do: "lab",
    lab: "ingest",
    options: {
      subject: "solution",
      command: [],
      stack: "auto",
      keepStack: false,
      profile: "full",
      out: "reports",
      json: false,
      watch: false,
    },
  });
  expect(line?.do === "lab" && Number.isInteger(line.options.seed)).toBe(true);
});

test("what follows -- is the worker's command, whole, even when it looks like our options", async () => {
  const line = await parseCommandLine(
    ["lab", "ingest", "--seed", "7", "--", "python", "w.py", "--json", "--", "x"],
    labs,
  );
  expect(line).toMatchObject({
    options: { seed: 7, json: false, command: ["python", "w.py", "--json", "--", "x"] },
  });
});

test.each([
  [["lab"]],
  [["lab", "ingest", "--profile", "slow"]],
  [["lab", "ingest", "--seed", "1.5"]],
  [["lab", "ingest", "--seed", "-1"]],
  [["lab", "ingest", "--stack", "docker"]],
  [["lab", "ingest", "--sed", "1"]],
  [["judge"]],
  [["frobnicate"]],
])("bad usage is refused: %j", async (args) => {
  const write = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  await expect(parseCommandLine(args, labs)).rejects.toThrow();
  expect(write).toHaveBeenCalled();
  write.mockRestore();
});

test("--help prints and asks for nothing to be done", async () => {
  const write = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  expect(await parseCommandLine(["lab", "--help"], labs)).toBeUndefined();
  expect(String(write.mock.calls)).toContain("--profile <name>");
  write.mockRestore();
});
