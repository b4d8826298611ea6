import { provePitfallsInCalm, provePitfallsUnderLoad, proveSolution } from "../../harness/testing.ts";
import lab from "./lab.ts";

proveSolution(lab);
provePitfallsUnderLoad(lab, [["sleep-in-handler", "no-head-of-line"]]);
// Where the first waits are held up, a curve is no longer told from a line.
provePitfallsInCalm(lab, [["linear", "exponential"]]);
