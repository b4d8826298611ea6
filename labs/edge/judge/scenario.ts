/** What is offered to the edge, from the numbers of a profile: the judge makes the same again from the record. */
import type { Scenario } from "../../../harness/lab.ts";
import { planMessages } from "../../../harness/load/messages.ts";
import { schedule } from "../../../harness/load/schedule.ts";

/** A process that has just started compiles its code: how fast it is then is not judged. */
const warmUp = "warm-up";
const warmUpMs = 600;

/** The gateway's work time in each phase. `kill` and `drain` name phases in which something happens to the worker. */
const workMs = [
  [warmUp, 2],
  ["2 ms", 2],
  ["10 ms", 10],
  ["20 ms", 20],
  ["50 ms", 50],
  ["2 ms again", 2],
  ["kill", 20],
  ["drain", 20],
] as const;

/** Phases in which something happens to the worker, or it is new: no steps that rates are measured in. */
export const eventful: readonly string[] = [warmUp, "kill", "drain"];

export type Numbers = (name: string) => number;

/** Needs the numbers `perSecond`, `stepMs`, `killStepMs`, `drainStepMs`, `concurrency`, `maxInFlight`. */
export function scenarioOf(number: Numbers): Pick<Scenario, "gateway" | "load" | "worker"> {
  const lasts: Readonly<Record<string, number>> = {
    [warmUp]: warmUpMs,
    kill: number("killStepMs"),
    drain: number("drainStepMs"),
  };
  return {
    load: {
      accounts: 200,
      paddingLength: 23_000,
      malformedOneIn: 40,
      malformations: ["invalid-json", "empty", "oversized"],
      phases: workMs.map(([name]) => ({
        name,
        forMs: lasts[name] ?? number("stepMs"),
        perSecond: number("perSecond") / (name === warmUp ? 2 : 1),
      })),
    },
    gateway: { workMs: workMs.map(([, ms]) => ms), reference: true },
    worker: { sessionTimeoutMs: 0, concurrency: number("concurrency"), maxInFlight: number("maxInFlight") },
  };
}

export const phasesOf = (number: Numbers) => schedule(scenarioOf(number).load.phases);

export const planOf = (seed: number, number: Numbers) => planMessages(seed, scenarioOf(number).load, 1);
