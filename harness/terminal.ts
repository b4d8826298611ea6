/** What people see: one line that moves while a run is under way, and the verdict at its end. */
import { styleText } from "node:util";
import type { RunVerdict, Verdict } from "./verdict/verdict.ts";
import type { Progress } from "./watch.ts";

const marks: Record<Verdict, string> = { pass: "✔", fail: "✘", unknown: "?" };
const colours: Record<Verdict, "green" | "red" | "yellow"> = {
  pass: "green",
  fail: "red",
  unknown: "yellow",
};
const number = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });

export interface Terminal {
  /** A line that stays. */
  say(line: string): void;
  /** The moving line; where there is no terminal, a line a phase. */
  progress(progress: Progress): void;
  /** Ends the moving line. */
  settle(): void;
}

/** @param stream stderr, so that stdout holds nothing but results */
export function createTerminal(stream: NodeJS.WriteStream): Terminal {
  let moving = false;
  let lastStep = "";
  const clear = (): void => {
    if (moving) stream.write("\r\u001b[2K");
    moving = false;
  };
  return {
    say(line) {
      clear();
      stream.write(`${line}\n`);
    },
    progress(progress) {
      if (progress.event !== undefined) {
        clear();
        stream.write(
          `  ${paint("magenta", progress.step === "place" ? "clean" : "break", stream)}  ${progress.event}\n`,
        );
        return;
      }
      const step = `${progress.step}${progress.phase ?? ""}`;
      if (stream.isTTY) {
        clear();
        stream.write(`  ${lineOf(progress).slice(0, Math.max(20, (stream.columns || 80) - 3))}`);
        moving = true;
      } else if (step !== lastStep) {
        stream.write(`  ${lineOf(progress)}\n`);
      }
      lastStep = step;
    },
    settle: clear,
  };
}

function lineOf({ step, atMs = 0, ofMs = 0, phase = "", sent, committed = 0 }: Progress): string {
  switch (step) {
    case "place":
      return "making a fresh database and topics";
    case "worker":
      return "calibrating; starting the worker and the load generator";
    case "warm-up":
      return "warming up the broker";
    case "read":
      return "stopping the worker, reading its tables";
    default: {
      const seconds = `${(Math.min(atMs, ofMs) / 1000).toFixed(1)} / ${(ofMs / 1000).toFixed(0)} s`;
      // A drill counts nothing while it runs.
      const counts =
        sent === undefined
          ? ""
          : `sent ${number.format(sent)}, committed ${number.format(committed)}, lag ${number.format(Math.max(0, sent - committed))}`;
      return (step === "load" ? `${seconds}  ${phase}  ${counts}` : `settling  ${counts}`).trimEnd();
    }
  }
}

/** Verdicts as a table, and for each criterion that did not pass what was seen and where to look. */
export function describeVerdict(verdict: RunVerdict, stream: NodeJS.WriteStream): string {
  const width = Math.max(...verdict.criteria.map(({ id }) => id.length));
  const lines = verdict.criteria.flatMap((one) => {
    const measured = one.measured === null ? "-" : number.format(one.measured);
    const head = `${paint(colours[one.verdict], `${marks[one.verdict]} ${one.verdict.padEnd(7)}`, stream)} ${one.id.padEnd(width)}  ${measured} ${one.unit} (${one.threshold}; ${number.format(one.samples)} samples)`;
    if (one.verdict === "pass") return [head];
    return [
      head,
      `            ${one.claim}`,
      `            seen      ${one.detail}`,
      ...(one.offending ?? []).map((item) => `            e.g.      ${item}`),
      ...(one.expected === undefined ? [] : [`            expected  ${one.expected}`]),
      ...(one.lookAt === undefined ? [] : [`            look at   ${one.lookAt}`]),
    ];
  });
  return lines.map((line) => `  ${line}`).join("\n");
}

export function headline(verdict: RunVerdict, stream: NodeJS.WriteStream): string {
  const count = (which: Verdict) => verdict.criteria.filter((one) => one.verdict === which).length;
  const parts = (["pass", "fail", "unknown"] as const)
    .filter((which) => count(which) > 0)
    .map((which) => `${count(which)} ${which}`);
  return `${paint(colours[verdict.verdict], `${marks[verdict.verdict]} ${verdict.verdict}`, stream)}  ${verdict.lab}, ${verdict.subject}: ${parts.join(", ")}`;
}

type Style = Parameters<typeof styleText>[0];

function paint(style: Style, text: string, stream: NodeJS.WriteStream): string {
  return stream.isTTY && process.env.NO_COLOR === undefined ? styleText(style, text) : text;
}
