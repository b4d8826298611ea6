/** The scenario of a run: the profile's, or the profile's with another number of kills. */
import { CannotRun } from "./cannot-run.ts";
import type { FaultPlan, Lab, LoadPhase, Profile, Scenario } from "./lab.ts";

/** Each kill of a long row has this much of the load that one has in the profile: delays add up in a long row. */
const room = 1.5;

/**
 * @param kills how many workers are to be killed, with half as much load again for each as in the profile; without
 *   arms. As many are then needed, where the profile needs some ("minKills").
 * @throws CannotRun when kills are asked of a profile that has none
 */
export function scenarioOf(lab: Lab, profile: Profile, kills?: number): Scenario {
  const scenario = lab.profiles[profile];
  if (kills === undefined) return scenario;
  const plan = scenario.faults.find(isKills);
  if (plan === undefined) throw new CannotRun(`lab ${lab.name} has no row of kills to lengthen with --kills`);
  const lengthMs = plan.toMs - plan.fromMs;
  const byMs = Math.round((kills * room * lengthMs) / plan.count - lengthMs);
  const { arms: _, limits, replay, ...rest } = scenario;
  const loadMs = scenario.load.phases.reduce((sum, { forMs }) => sum + forMs, 0);
  return {
    ...rest,
    ...(limits === undefined
      ? {}
      : { limits: "minKills" in limits ? { ...limits, minKills: kills } : limits }),
    // All of it comes once more, and may take as much longer as there is more.
    ...(replay === undefined
      ? {}
      : { replay: { withinMs: Math.round(replay.withinMs * Math.max(1, (loadMs + byMs) / loadMs)) } }),
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
