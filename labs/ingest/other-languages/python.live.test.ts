/** A worker without a line of this repository's code passes the same drill: the contract is enough to write one. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { readRecord } from "../../../harness/record/file.ts";
import { cacheFolder } from "../../../harness/stack/native/cache.ts";
import { complaints, openBench, openOfAll } from "../../../harness/testing.ts";
import lab from "../lab.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const requirements = join(here, "requirements.txt");

test("the Python worker keeps every promise, and ends with 0 after SIGTERM", { timeout: 400_000 }, async ({
  skip,
}) => {
  const python = await pythonWithLibraries();
  if ("missing" in python) {
    const why = `the Python worker was not tested: ${python.missing}`;
    process.stderr.write(`  ${why}\n`);
    return skip(why);
  }
  const bench = await openBench(lab);

  const command = [python.program, join(here, "worker.py")];
  const outcome = await bench.decide(lab, { name: "python", command }, openOfAll);

  expect(complaints(outcome)).toEqual([]);
  const { workers } = await readRecord(outcome.folder);
  expect(workers.at(-1)?.exit).toMatchObject({ planned: true, code: 0, signal: null });
});

/** A Python with the worker's libraries, in a virtual environment that is kept for the next time. */
async function pythonWithLibraries(): Promise<{ readonly program: string } | { readonly missing: string }> {
  const system = await firstPython();
  if (system === undefined)
    return { missing: "no python3 or python of version 3.9 or later, with venv, on the PATH" };
  const key = createHash("sha256").update(readFileSync(requirements)).update(system.version).digest("hex");
  const home = join(cacheFolder(process.env), "python", key.slice(0, 16));
  const program = join(home, "bin", "python");
  const complete = join(home, "complete");
  if (existsSync(complete)) return { program };

  const made = await run(system.program, ["-m", "venv", "--clear", home], 60_000);
  if (made.code !== 0) return { missing: `python -m venv failed: ${lastLine(made)}` };
  const install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"];
  const installed = await run(program, [...install, "-r", requirements], 180_000);
  if (installed.code !== 0)
    return { missing: `its libraries could not be installed: ${lastLine(installed)}` };
  writeFileSync(complete, "");
  return { program };
}

async function firstPython(): Promise<{ readonly program: string; readonly version: string } | undefined> {
  const check =
    "import sys, venv, ensurepip; assert sys.version_info >= (3, 9); print(sys.executable, sys.version)";
  for (const program of ["python3", "python"]) {
    const { code, stdout } = await run(program, ["-c", check], 10_000);
    if (code === 0) return { program, version: stdout };
  }
  return undefined;
}

interface Ended {
  /** Null when it could not be started, or was ended by a signal. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(program: string, args: readonly string[], timeoutMs: number): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { timeout: timeoutMs, stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (text) => {
      stdout += text;
    });
    child.stderr.on("data", (text) => {
      stderr += text;
    });
    child.once("error", (error) => resolve({ code: null, stdout, stderr: error.message }));
    child.once("close", (code) => resolve({ code, stdout, stderr }));
  });
}

function lastLine({ stderr }: Ended): string {
  return stderr.trim().split("\n").at(-1) ?? "";
}
