/** The scenario of a run: the profile's, or the profile's with another number of kills. */
import { CannotRun } from "./cannot-run.ts";
import type { FaultPlan, Lab, LoadPhase, Profile, Scenario } from "./lab.ts";

/**
 * @param kills how many workers are to be killed, each in as much load as the profile gives to one; without arms
 * @throws CannotRun when kills are asked of a profile that has none
 */
export function scenarioOf(lab: Lab, profile: Profile, kills?: number): Scenario {
  const scenario = lab.profiles[profile];
  if (kills === undefined) return scenario;
  const plan = scenario.faults.find(isKills);
  if (plan === undefined) throw new CannotRun(`lab ${lab.name} has no row of kills to lengthen with --kills`);
  const byMs = Math.round(((kills - plan.count) * (plan.toMs - plan.fromMs)) / plan.count);
  const { arms: _, ...rest } = scenario;
  return {
    ...rest,
    faults: scenario.faults.map((fault) =>
      fault === plan ? { ...plan, count: kills, toMs: plan.toMs + byMs } : fault,
    ),
    load: { ...scenario.load, phases: longerAt(scenario.load.phases, plan.fromMs, byMs) },
  };
}

const isKills = (plan: FaultPlan) => plan.kind === "kill-workers";

/** The phases, with the one at `atMs` longer (or shorter) by so much. */
function longerAt(phases: readonly LoadPhase[], atMs: number, byMs: number): LoadPhase[] {
  let endMs = 0;
  let done = false;
  return phases.map((phase) => {
    endMs += phase.forMs;
    if (done || atMs >= endMs) return phase;
    done = true;
    return { ...phase, forMs: phase.forMs + byMs };
  });
}
