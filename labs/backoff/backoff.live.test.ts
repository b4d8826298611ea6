import { provePitfallsInCalm, provePitfallsUnderLoad, proveSolution } from "../../harness/testing.ts";
import lab from "./lab.ts";

proveSolution(lab);
provePitfallsUnderLoad(lab, [["sleep-in-handler", "no-head-of-line"]]);
// Where retries are held up, a curve is no longer told from a line, nor no wait from a long one.
provePitfallsInCalm(lab, [
  ["linear", "exponential"],
  ["retry-at-once", "cadence"],
]);
