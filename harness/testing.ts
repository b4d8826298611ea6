/** For the labs' live tests: one stack for a file, runs on it, and verdicts to expect. */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AnyLab, isDrill } from "./drill.ts";
import { conduct, type Outcome } from "./experiment.ts";
import { openStack } from "./stack/choose.ts";
import type { Stack } from "./stack/stack.ts";
import { resolveSubject } from "./subject/resolve.ts";
import type { CriterionVerdict } from "./verdict/verdict.ts";

/** A run that proved nothing may be made again this often, with another seed; a failed one never. */
const maxAgain = 2;
const reportsFolder = fileURLToPath(new URL("../reports/.proof", import.meta.url));
const projectFolder = fileURLToPath(new URL("..", import.meta.url));

export interface Bench {
  /** Runs a subject in the quick profile until it is decided; says on stderr when a run proved nothing. */
  decide(lab: AnyLab, subject: Subject, isDecided: (outcome: Outcome) => boolean): Promise<Outcome>;
  close(): Promise<void>;
}

export interface Subject {
  readonly name: string;
  readonly command?: readonly string[];
  readonly seed?: number;
}

/** With a stack, unless the lab needs none. */
export async function openBench(lab: AnyLab): Promise<Bench> {
  const stack: Stack | undefined = isDrill(lab)
    ? undefined
    : await openStack({
        kind: "auto",
        env: process.env,
        onProgress: (line) => process.stderr.write(`  ${line}\n`),
      });
  return {
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
    close: async () => stack?.stop(),
  };
}

/** Decided for a worker that must pass: pass or fail, and not unknown. */
export const isDecided = ({ verdict }: Outcome): boolean => verdict.verdict !== "unknown";

/** Decided for a worker that must fail one criterion: that one is not unknown. */
const isDecidedOn =
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

/**
 * Declares the test that a lab's solution keeps every promise. Belongs in a file that has the machine to itself.
 * @returns the file's bench, for tests beside it
 */
export function proveSolution(lab: AnyLab): () => Bench {
  const bench = benchOfFile(lab);
  test(`the solution keeps every promise of the ${lab.name} lab`, async () => {
    const outcome = await bench().decide(lab, { name: "solution" }, isDecided);
    expect(complaints(outcome)).toEqual([]);
    expect(outcome.problems).toEqual([]);
  });
  return bench;
}

/**
 * Declares a test for each pitfall, that it fails the criterion beside it, and one for the exercise. They run in the
 * lab's `proof` scenario, and may share the machine with another file.
 */
export function provePitfalls(
  lab: AnyLab,
  pitfalls: readonly (readonly [pitfall: string, id: string])[],
): void {
  const short: AnyLab = isDrill(lab)
    ? { ...lab, profiles: { ...lab.profiles, quick: lab.proof ?? lab.profiles.quick } }
    : { ...lab, profiles: { ...lab.profiles, quick: lab.proof ?? lab.profiles.quick } };
  const bench = benchOfFile(lab);
  describe("every pitfall fails for its own reason", () => {
    test.each(pitfalls)("%s fails %s", async (pitfall, id) => {
      const outcome = await bench().decide(short, { name: pitfall }, isDecidedOn(id));
      const judged = criterion(outcome, id);
      expect(judged.verdict, judged.detail).toBe("fail");
      expect(judged.offending ?? [judged.detail]).not.toEqual([]);
    });
  });
  test("the exercise runs to the end and fails with more than one verdict to learn from", async () => {
    const outcome = await bench().decide(short, { name: "exercise" }, isDecided);
    const failed = outcome.verdict.criteria.filter(({ verdict }) => verdict === "fail");
    expect(outcome.verdict.verdict).toBe("fail");
    expect(failed.length).toBeGreaterThan(1);
    for (const { expected, lookAt } of failed) expect([expected, lookAt]).not.toContain(undefined);
  });
}

/** One bench for the file's tests, opened before the first and closed after the last. */
function benchOfFile(lab: AnyLab): () => Bench {
  let bench: Bench | undefined;
  beforeAll(async () => {
    bench = await openBench(lab);
  });
  afterAll(() => bench?.close());
  return () => {
    if (bench === undefined) throw new Error("the stack is opened before the first test of the file");
    return bench;
  };
}

function randomSeed(): number {
  const seed = 1 + Math.floor(Math.random() * 1_000_000);
  process.stderr.write(`  seed ${seed}\n`);
  return seed;
}
