/** What the command line does once it is understood: run, judge, draw, show. Loaded only when there is something to do. */
import { watch } from "node:fs";
import { join, relative, resolve } from "node:path";
import { type AnyLab, isDrill } from "./drill.ts";
import { conduct, judgeAndDraw, type Outcome } from "./experiment.ts";
import { loadLab, loadLabs } from "./labs.ts";
import type { CommandLine, LabOptions } from "./options.ts";
import { readRecord } from "./record/file.ts";
import { openStack } from "./stack/choose.ts";
import type { Stack } from "./stack/stack.ts";
import { assertWatchable, resolveSubject, type Subject } from "./subject/resolve.ts";
import { describeVerdict, headline, type Terminal } from "./terminal.ts";
import type { RunVerdict, Verdict } from "./verdict/verdict.ts";

const exitCodes: Record<Verdict, number> = { pass: 0, fail: 1, unknown: 2 };
const settleMs = 200;

/** The public JSON object; its keys are fixed. */
function publicResult(verdict: RunVerdict, report: string) {
  return {
    lab: verdict.lab,
    subject: verdict.subject,
    seed: verdict.seed,
    stack: verdict.stack,
    verdict: verdict.verdict,
    criteria: verdict.criteria.map(({ id, verdict: one, measured, threshold, unit, samples, detail }) => ({
      id,
      verdict: one,
      measured,
      threshold,
      unit,
      samples,
      detail,
    })),
    report,
  };
}

interface Session {
  readonly terminal: Terminal;
  readonly options: LabOptions;
}

async function runOnce(
  session: Session,
  lab: AnyLab,
  subject: Subject,
  stack: Stack | undefined,
  seed: number,
): Promise<Outcome> {
  const { options, terminal } = session;
  terminal.say(`\n${lab.name}: ${lab.title}`);
  terminal.say(`  subject ${subject.name}, profile ${options.profile}, seed ${seed}`);
  const outcome = await conduct({
    lab,
    subject,
    profile: options.profile,
    kills: options.kills,
    seed,
    stack,
    out: resolve(options.out),
    command: repeatCommand(lab, options, seed),
    cwd: process.cwd(),
    onProgress: terminal.progress,
  });
  terminal.settle();
  for (const problem of outcome.problems) terminal.say(`  note: ${problem}`);
  return outcome;
}

function repeatCommand(lab: AnyLab, options: LabOptions, seed: number): string {
  const words = ["npx", "tsx", `labs/${lab.name}/run.ts`];
  if (options.command.length === 0 && options.subject !== "solution")
    words.push("--subject", options.subject);
  if (options.profile !== "full") words.push("--profile", options.profile);
  if (options.kills !== undefined) words.push("--kills", String(options.kills));
  if (options.stack !== "auto") words.push("--stack", options.stack);
  words.push("--seed", String(seed));
  if (options.command.length > 0) words.push("--", ...options.command);
  return words.map(quoted).join(" ");
}

/** For a shell that people paste it into. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

async function commandLab(name: string, session: Session): Promise<number> {
  const { options, terminal } = session;
  const lab = await loadLab(name);
  const subject = resolveSubject(lab.home, options.subject, options.command);
  if (options.watch) assertWatchable(subject);
  const stack = await open(session, [lab]);
  try {
    for (let seed = options.seed; ; seed += 1) {
      const { verdict, page } = await runOnce(session, lab, subject, stack, seed);
      present(verdict, page, options, terminal);
      if (!options.watch) return exitCodes[verdict.verdict];
      terminal.say(`\nwatching ${subject.files.map(fromHere).join(", ")}; Ctrl-C ends`);
      await nextChange(subject.files);
    }
  } finally {
    await stack?.stop();
  }
}

async function commandStart(names: readonly string[], session: Session): Promise<number> {
  const { options } = session;
  const labs = names.length > 0 ? await Promise.all(names.map(loadLab)) : await loadLabs();
  const subjects = labs.map((lab) => resolveSubject(lab.home, options.subject, options.command));
  const stack = await open(session, labs);
  const outcomes: Outcome[] = [];
  try {
    for (const [i, lab] of labs.entries()) {
      const subject = subjects[i];
      if (subject === undefined) continue;
      const outcome = await runOnce(session, lab, subject, stack, options.seed);
      outcomes.push(outcome);
      if (!options.json) process.stdout.write(`${describeVerdict(outcome.verdict, process.stdout)}\n`);
    }
  } finally {
    await stack?.stop();
  }
  if (options.json) {
    process.stdout.write(
      `${JSON.stringify(outcomes.map(({ verdict, page }) => publicResult(verdict, page)))}\n`,
    );
  } else {
    process.stdout.write("\n");
    for (const { verdict } of outcomes) process.stdout.write(`  ${headline(verdict, process.stdout)}\n`);
    process.stdout.write(`\n  ${fromHere(join(resolve(options.out), "index.html"))}\n`);
  }
  return worst(outcomes.map(({ verdict }) => verdict.verdict));
}

async function commandJudge(folder: string, json: boolean, terminal: Terminal): Promise<number> {
  const record = await readRecord(resolve(folder));
  const lab = await loadLab(record.lab);
  const { verdict, page, problems } = await judgeAndDraw(record, lab, resolve(folder));
  for (const problem of problems) terminal.say(`  note: ${problem}`);
  present(verdict, page, { json }, terminal);
  return exitCodes[verdict.verdict];
}

function present(
  verdict: RunVerdict,
  page: string,
  { json }: { readonly json: boolean },
  terminal: Terminal,
): void {
  terminal.settle();
  if (json) {
    process.stdout.write(`${JSON.stringify(publicResult(verdict, page))}\n`);
    return;
  }
  process.stdout.write(`${describeVerdict(verdict, process.stdout)}\n\n`);
  process.stdout.write(`  ${headline(verdict, process.stdout)}\n  ${fromHere(page)}\n`);
}

/** Nothing is started for drills alone. */
async function open({ options, terminal }: Session, labs: readonly AnyLab[]): Promise<Stack | undefined> {
  if (labs.every(isDrill)) return undefined;
  return await openStack({
    kind: options.stack,
    env: process.env,
    onProgress: terminal.say,
    keep: options.keepStack,
  });
}

function nextChange(files: readonly string[]): Promise<void> {
  return new Promise((done) => {
    const watchers = files.map((file) =>
      watch(file, { recursive: true }, () => {
        for (const one of watchers) one.close();
        // Editors write in several steps; the run that follows should see the last one.
        setTimeout(done, settleMs);
      }),
    );
  });
}

function worst(verdicts: readonly Verdict[]): number {
  if (verdicts.includes("fail")) return exitCodes.fail;
  return verdicts.includes("unknown") ? exitCodes.unknown : exitCodes.pass;
}

/** @returns the exit code */
export async function carryOut(line: CommandLine, terminal: Terminal): Promise<number> {
  if (line.do === "judge") return commandJudge(line.folder, line.json, terminal);
  const session = { terminal, options: line.options };
  return line.do === "lab" ? commandLab(line.lab, session) : commandStart(line.labs, session);
}

const fromHere = (path: string): string => relative(process.cwd(), path) || ".";
