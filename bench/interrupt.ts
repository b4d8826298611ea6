/**
 * Ctrl-C at every second of a run, from its start to its end: does anything stay? Processes, and with them ports; the
 * folders of the run; the segments of memory that PostgreSQL shares.
 *
 * ```sh
 * npx tsx bench/interrupt.ts [every ms, default 1000] [first ms, default 0]
 * ```
 *
 * Takes about five minutes. Exits 1 when something stayed.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { descendantsOf, processTable } from "../harness/probe/processes.ts";
import { cacheFolder } from "../harness/stack/native/cache.ts";
import { isAlive } from "../harness/stack/native/identity.ts";

const project = fileURLToPath(new URL("..", import.meta.url));
const everyMs = Number(process.argv[2] ?? 1_000);
const firstMs = Number(process.argv[3] ?? 0);
const graceMs = 15_000;
const momentMs = 1_000;

interface Outcome {
  /** The run came to its end before it was interrupted. */
  readonly isOver: boolean;
  readonly line: string;
  readonly left: readonly string[];
}

async function interruptAt(atMs: number): Promise<Outcome> {
  const out = mkdtempSync(join(tmpdir(), "sluice-interrupt-"));
  const command = ["labs/ingest/run.ts", "--profile", "quick", "--seed", "5", "--stack", "native"];
  const before = new Set(sharedSegments());
  const child = spawn(process.execPath, ["--import", "tsx", ...command, "--out", out], {
    cwd: project,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const exit = new Promise<number | string | null>((resolve) =>
    child.once("exit", (code, signal) => resolve(code ?? signal)),
  );
  const pid = child.pid ?? -1;
  const ours = new Map<number, number>();
  const look = async (): Promise<void> => {
    const table = await processTable();
    const tree = descendantsOf(table, [pid, ...ours.keys()]);
    for (const one of table) if (tree.has(one.pid)) ours.set(one.pid, one.startedAt);
  };
  const startedAt = performance.now();
  const looking = setInterval(() => void look(), 50);
  const isOver = await Promise.race([exit.then(() => true), delay(atMs).then(() => false)]);
  await look();
  const interruptedAt = performance.now();
  child.kill("SIGINT");
  const code = await Promise.race([exit, delay(graceMs).then(() => "nothing: it went on")]);
  const tookMs = performance.now() - interruptedAt;
  clearInterval(looking);
  if (typeof code === "string" && code.startsWith("nothing")) child.kill("SIGKILL");

  const left = await stillThere(ours);
  const runs = join(cacheFolder(process.env), "runs");
  if (existsSync(runs)) {
    const own = readdirSync(runs).filter((name) => name.split(".").includes(String(pid)));
    left.push(...own.map((name) => `folder ${join(runs, name)}`));
  }
  // A segment without a process: nobody else's server is between two of its looks for so long.
  left.push(
    ...sharedSegments()
      .filter((id) => !before.has(id) && ours.has(creatorOf(id)))
      .map((id) => `shared memory ${id}`),
  );
  rmSync(out, { recursive: true, force: true });
  const last = stderr.trimEnd().split("\n").at(-1)?.trim().slice(0, 60) ?? "";
  const at = ((interruptedAt - startedAt) / 1_000).toFixed(1);
  const line = `${at.padStart(5)} s  ended with ${code} after ${(tookMs / 1_000).toFixed(1)} s  (${last})`;
  return { isOver, line, left };
}

/** Those of these processes that outlive the run by more than a moment: tsx' compiler ends when it sees that it is alone. */
async function stillThere(ours: ReadonlyMap<number, number>): Promise<string[]> {
  const deadline = performance.now() + momentMs;
  for (;;) {
    // `isAlive` knows a zombie, which has ended and only waits to be seen by its parent.
    const left = [...ours]
      .filter(([pid, startedAt]) => isAlive({ pid, startedAt: String(startedAt) }))
      .map(([pid]) => `process ${pid}: ${commandOf(pid)}`);
    if (left.length === 0 || performance.now() > deadline) return left;
    await delay(20);
  }
}

/** System V segments of this machine: id, and the process that made it. */
function segments(): { readonly id: string; readonly creator: number }[] {
  try {
    const lines = readFileSync("/proc/sysvipc/shm", "utf8").trim().split("\n").slice(1);
    return lines.map((line) => {
      const [, id = "", , , creator] = line.trim().split(/\s+/);
      return { id, creator: Number(creator) };
    });
  } catch {
    return [];
  }
}
const sharedSegments = () => segments().map(({ id }) => id);
const creatorOf = (id: string) => segments().find((one) => one.id === id)?.creator ?? -1;

const delay = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").slice(0, 120);
  } catch {
    return "?";
  }
}

let moments = 0;
let bad = 0;
for (let atMs = firstMs; ; atMs += everyMs) {
  const { isOver, line, left } = await interruptAt(atMs);
  if (isOver) break;
  moments += 1;
  if (left.length > 0) bad += 1;
  process.stdout.write(`${line}: ${left.length === 0 ? "nothing left" : `LEFT ${left.join("; ")}`}\n`);
}
process.stdout.write(`${moments} moments, ${bad} of them left something\n`);
process.exitCode = bad === 0 && moments > 0 ? 0 : 1;
