/** What a run is told. */
import type { Lab, Profile, Scenario } from "./lab.ts";
import type { RunRecord } from "./record/record.ts";
import type { Stack } from "./stack/stack.ts";
import type { Subject } from "./subject/resolve.ts";
import type { Progress } from "./watch.ts";

export type Calibration = RunRecord["host"]["calibration"];

export interface RunOptions {
  readonly lab: Lab;
  readonly subject: Subject;
  readonly profile: Profile;
  /** The profile's own scenario, or that of one of its arms. */
  readonly scenario: Scenario;
  /** When another number of kills was asked for than the profile has. */
  readonly kills?: number | undefined;
  readonly seed: number;
  /** How fit the machine is, when that was measured a moment ago. */
  readonly calibration?: Calibration;
  readonly stack: Stack;
  /** The run's own folder; made here. */
  readonly folder: string;
  /** The command that repeats the run. */
  readonly command: string;
  readonly cwd: string;
  readonly onProgress: (progress: Progress) => void;
}
