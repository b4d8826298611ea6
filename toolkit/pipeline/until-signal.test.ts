import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
const tsx = pathToFileURL(join(root, "node_modules/tsx/dist/loader.mjs")).href;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-signal-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs a worker as its own process; sends it the signals, one after each line it prints. */
async function runWorker(body: string, signals: readonly NodeJS.Signals[]) {
  const file = join(folder, `${Math.random().toString(36).slice(2)}.mts`);
  const from = (path: string) => JSON.stringify(pathToFileURL(join(root, "toolkit", path)).href);
  await writeFile(
    file,
    `import { startPipeline } from ${from("pipeline/pipeline.ts")};
     import { memorySource } from ${from("testing/memory-source.ts")};
     const source = memorySource();
     ${body}`,
  );
  const child = spawn(process.execPath, ["--import", tsx, file], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = { stdout: "", stderr: "" };
  const left = [...signals];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output.stdout += text;
    const signal = left.shift();
    if (signal !== undefined) child.kill(signal);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output.stderr += text;
  });
  const killer = setTimeout(() => child.kill("SIGKILL"), 20_000);
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
    child.on("close", (...how) => resolve(how));
  });
  clearTimeout(killer);
  return { code, signal, lines: output.stdout.trim().split("\n"), stderr: output.stderr };
}

test.each(["SIGTERM", "SIGINT"] as const)(
  "%s drains and ends the process with exit code 0",
  { timeout: 30_000 },
  async (signal) => {
    const { code, lines } = await runWorker(
      `const pipeline = startPipeline({
       source,
       process: (message) => message,
       async write(batch) {
         console.log("writing");
         await new Promise((resolve) => setTimeout(resolve, 300));
       },
     });
     source.push([1, 2, 3]);
     const { written, handedBack } = await pipeline.untilSignal("SIGTERM");
     console.log(JSON.stringify({ written, handedBack, committed: source.committable() }));`,
      [signal],
    );
    expect(lines).toEqual(["writing", '{"written":3,"handedBack":0,"committed":3}']);
    expect(code).toBe(0);
  },
);

test("a second signal hands back what is in flight, and what keeps the process open does not keep it alive", {
  timeout: 30_000,
}, async () => {
  const { code, lines } = await runWorker(
    `setInterval(() => {}, 1_000);
     const pipeline = startPipeline({
       source,
       process: (message) => message,
       write(batch) {
         console.log("writing");
         process.once("SIGTERM", () => console.log("told once"));
         return new Promise(() => {});
       },
     });
     source.push([1, 2, 3]);
     const { written, handedBack } = await pipeline.untilSignal("SIGTERM");
     console.log(JSON.stringify({ written, handedBack }));`,
    ["SIGTERM", "SIGTERM"],
  );
  expect(lines).toEqual(["writing", "told once", '{"written":0,"handedBack":3}']);
  expect(code).toBe(0);
});

test("a pipeline that fails ends the process with exit code 1 and its error on stderr", {
  timeout: 30_000,
}, async () => {
  const { code, stderr } = await runWorker(
    `const pipeline = startPipeline({
       source,
       process() {
         throw new Error("cannot parse");
       },
       write() {},
     });
     source.push([1]);
     await pipeline.untilSignal("SIGTERM");`,
    [],
  );
  expect(code).toBe(1);
  expect(stderr).toContain("no failed handler to store it: cannot parse");
});
