/** For the labs' live tests: one stack for a file, runs on it, and verdicts to expect. */
import { fileURLToPath } from "node:url";
import { conduct, type Outcome } from "./experiment.ts";
import type { Lab } from "./lab.ts";
import { openStack } from "./stack/choose.ts";
import type { Stack } from "./stack/stack.ts";
import { resolveSubject } from "./subject/resolve.ts";
import type { CriterionVerdict } from "./verdict/verdict.ts";

/** A run that proved nothing may be made again this often, with another seed; a failed one never. */
const maxAgain = 2;
const reportsFolder = fileURLToPath(new URL("../reports/.proof", import.meta.url));
const projectFolder = fileURLToPath(new URL("..", import.meta.url));

export interface Bench {
  readonly stack: Stack;
  /** Runs a subject in the quick profile until it is decided; says on stderr when a run proved nothing. */
  decide(lab: Lab, subject: Subject, isDecided: (outcome: Outcome) => boolean): Promise<Outcome>;
  close(): Promise<void>;
}

export interface Subject {
  readonly name: string;
  readonly command?: readonly string[];
  readonly seed?: number;
}

export async function openBench(): Promise<Bench> {
  const stack = await openStack({
    kind: "auto",
    env: process.env,
    onProgress: (line) => process.stderr.write(`  ${line}\n`),
  });
  return {
    stack,
    async decide(lab, { name, command = [], seed = randomSeed() }, isDecided) {
      for (let again = 0; ; again += 1) {
        const outcome = await conduct({
          lab,
          subject: resolveSubject(lab.home, name, command),
          profile: "quick",
          seed: seed + again,
          stack,
          out: reportsFolder,
          // A page of each mistake would cost seconds and prove nothing more.
          draw: name === "solution",
          command: `npx tsx labs/${lab.name}/run.ts --profile quick --subject ${name} --seed ${seed + again}`,
          cwd: projectFolder,
          onProgress: () => undefined,
        });
        if (isDecided(outcome) || again === maxAgain) return outcome;
        const open = outcome.verdict.criteria.filter(({ verdict }) => verdict === "unknown");
        process.stderr.write(
          `  ${lab.name} ${name}, seed ${seed + again}: proved nothing, run again. ${open.map(({ id, detail }) => `${id}: ${detail}`).join(" ")}\n`,
        );
      }
    },
    close: () => stack.stop(),
  };
}

/** Decided for a worker that must pass: pass or fail, and not unknown. */
export const isDecided = ({ verdict }: Outcome): boolean => verdict.verdict !== "unknown";

/** Decided for a worker that must fail one criterion: that one is not unknown. */
export const isDecidedOn =
  (id: string) =>
  (outcome: Outcome): boolean =>
    criterion(outcome, id).verdict !== "unknown";

export function criterion({ verdict }: Outcome, id: string): CriterionVerdict {
  const found = verdict.criteria.find((one) => one.id === id);
  if (found === undefined) throw new Error(`lab ${verdict.lab} has no criterion ${id}`);
  return found;
}

/** What did not pass, in words: the message of a failed expectation. */
export function complaints({ verdict, page }: Outcome): string[] {
  const open = verdict.criteria.filter((one) => one.verdict !== "pass");
  return open.length === 0
    ? []
    : [
        ...open.map(
          ({ id, verdict: one, detail, offending = [] }) =>
            `${id}: ${one}: ${detail} ${offending.join("; ")}`,
        ),
        page,
      ];
}

function randomSeed(): number {
  const seed = 1 + Math.floor(Math.random() * 1_000_000);
  process.stderr.write(`  seed ${seed}\n`);
  return seed;
}
