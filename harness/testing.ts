/** For live tests: one stack for a process, runs of labs on it, and verdicts to expect. */
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { type AnyLab, isDrill } from "./drill.ts";
import { conduct, type Outcome } from "./experiment.ts";
import type { Scenario } from "./lab.ts";
import { openStack } from "./stack/choose.ts";
import type { Stack } from "./stack/stack.ts";
import { resolveSubject } from "./subject/resolve.ts";
import type { CriterionVerdict } from "./verdict/verdict.ts";

/** A run that proved nothing may be made again this often, with another seed; a failed one never. */
const maxAgain = 2;
const reportsFolder = fileURLToPath(new URL("../reports/.proof", import.meta.url));
const projectFolder = fileURLToPath(new URL("..", import.meta.url));

export interface Bench {
  /**
   * Runs a subject in the quick profile until nothing that matters is open; says on stderr when a run proved nothing.
   * @param openOf verdicts that matter and are unknown
   */
  decide(lab: AnyLab, subject: Subject, openOf: (outcome: Outcome) => CriterionVerdict[]): Promise<Outcome>;
}

export interface Subject {
  readonly name: string;
  readonly command?: readonly string[];
  readonly seed?: number;
}

let shared: Promise<Stack> | undefined;

/**
 * The stack of this process: opened once, for all test files that run in it, and ended with it. Each test keeps to
 * topics, databases and prefixes of its own, and leaves the servers running.
 */
export function sharedStack(): Promise<Stack> {
  shared ??= openStack({
    kind: "auto",
    env: process.env,
    onProgress: (line) => process.stderr.write(`  ${line}\n`),
  }).then((stack) => {
    // Vitest ends its processes so, and waits for half a second; what is registered goes at the exit.
    process.once("SIGTERM", () => process.exit());
    // Vitest itself is gone: nobody will end this process.
    process.once("disconnect", () => process.exit());
    return stack;
  });
  return shared;
}

/** On the shared stack, unless the lab needs none. */
export async function openBench(lab: AnyLab): Promise<Bench> {
  const stack: Stack | undefined = isDrill(lab) ? undefined : await sharedStack();
  return {
    async decide(lab, { name, command = [], seed = randomSeed() }, openOf) {
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
        const open = openOf(outcome);
        if (open.length === 0 || again === maxAgain) return outcome;
        process.stderr.write(
          `  ${lab.name} ${name}, seed ${seed + again}: proved nothing, run again. ${open.map(({ id, detail }) => `${id}: ${detail}`).join(" ")}\n`,
        );
      }
    },
  };
}

/** Of a worker that must pass: whatever is unknown, unless something failed. */
export const openOfAll = (outcome: Outcome): CriterionVerdict[] =>
  outcome.verdict.verdict === "unknown" ? having(outcome, "unknown") : [];

/** Of a worker that must fail one criterion: that one. */
const openOfOne =
  (id: string) =>
  (outcome: Outcome): CriterionVerdict[] =>
    [criterion(outcome, id)].filter(({ verdict }) => verdict === "unknown");

export function criterion({ verdict }: Outcome, id: string): CriterionVerdict {
  const found = verdict.criteria.find((one) => one.id === id);
  if (found === undefined) throw new Error(`lab ${verdict.lab} has no criterion ${id}`);
  return found;
}

const having = ({ verdict }: Outcome, one: CriterionVerdict["verdict"]): CriterionVerdict[] =>
  verdict.criteria.filter((criterion) => criterion.verdict === one);

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

/** Declares the test that a lab's solution keeps every promise. Belongs in a file that has the machine to itself. */
export function proveSolution(lab: AnyLab): void {
  const bench = benchOfFile(lab);
  test(`the solution keeps every promise of the ${lab.name} lab`, async () => {
    const outcome = await bench().decide(lab, { name: "solution" }, openOfAll);
    expect(complaints(outcome)).toEqual([]);
    expect(outcome.problems).toEqual([]);
  });
}

type Pitfalls = readonly (readonly [pitfall: string, id: string])[];

/** Declares a test for each pitfall, that it fails the criterion beside it, in the lab's `proof` scenario. */
export function provePitfalls(lab: AnyLab, pitfalls: Pitfalls): void {
  proveEach(lab, onSharedMachine, pitfalls);
}

/** The same in `proofInCalm`. */
export function provePitfallsInCalm(lab: AnyLab, pitfalls: Pitfalls): void {
  proveEach(lab, inCalm, pitfalls);
}

/** The same in `proofUnderLoad`, for a file that has the machine to itself. */
export function provePitfallsUnderLoad(lab: AnyLab, pitfalls: Pitfalls): void {
  proveEach(lab, underLoad, pitfalls);
}

/** Which of its proofs a lab is proved with. */
type Choice = <Proof>(of: {
  readonly proof?: Proof;
  readonly proofInCalm?: Proof;
  readonly proofUnderLoad?: Proof;
}) => Proof | undefined;
const onSharedMachine: Choice = ({ proof }) => proof;
const inCalm: Choice = ({ proof, proofInCalm }) => proofInCalm ?? proof;
const underLoad: Choice = ({ proof, proofUnderLoad }) => proofUnderLoad ?? proof;

function proveEach(lab: AnyLab, choice: Choice, pitfalls: Pitfalls): void {
  const bench = benchOfFile(lab);
  describe("every pitfall fails for its own reason", () => {
    test.each(pitfalls)("%s fails %s", async (pitfall, id) => {
      const outcome = await bench().decide(proofOf(lab, choice, id), { name: pitfall }, openOfOne(id));
      const judged = criterion(outcome, id);
      expect(judged.verdict, judged.detail).toBe("fail");
      expect(judged.offending ?? [judged.detail]).not.toEqual([]);
    });
  });
}

/** Declares the test that the lab's exercise, as a learner finds it, fails with verdicts that teach. */
export function proveExercise(lab: AnyLab): void {
  proveFailure(lab, inCalm);
}

/** The same for a lab whose exercise fails by time or volume only, in a file that has the machine to itself. */
export function proveExerciseUnderLoad(lab: AnyLab): void {
  proveFailure(lab, underLoad);
}

function proveFailure(lab: AnyLab, choice: Choice): void {
  const bench = benchOfFile(lab);
  test("the exercise runs to the end and fails with more than one verdict to learn from", async () => {
    const outcome = await bench().decide(proofOf(lab, choice), { name: "exercise" }, (one) =>
      having(one, "fail").length > 1 ? [] : having(one, "unknown"),
    );
    const failed = having(outcome, "fail");
    expect(outcome.verdict.verdict).toBe("fail");
    expect(failed.length).toBeGreaterThan(1);
    for (const { expected, lookAt } of failed) expect([expected, lookAt]).not.toContain(undefined);
  });
}

/** The lab with its proof for a quick profile, and of what follows the load only what one criterion needs. */
function proofOf(lab: AnyLab, choice: Choice, id?: string): AnyLab {
  if (isDrill(lab))
    return { ...lab, profiles: { ...lab.profiles, quick: choice(lab) ?? lab.profiles.quick } };
  const needs = lab.criteria.find((one) => one.id === id)?.needs ?? [];
  const { arms, operation, replay, ...load } = choice(lab) ?? lab.profiles.quick;
  const quick: Scenario = {
    ...load,
    ...(arms !== undefined && needs.includes("arms") ? { arms } : {}),
    ...(operation !== undefined && needs.includes("operation") ? { operation } : {}),
    ...(replay !== undefined && needs.includes("replay") ? { replay } : {}),
  };
  return { ...lab, profiles: { ...lab.profiles, quick } };
}

/** One bench for the file's tests, opened before the first. */
function benchOfFile(lab: AnyLab): () => Bench {
  let bench: Bench | undefined;
  beforeAll(async () => {
    bench = await openBench(lab);
  });
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
