import { provePitfallsUnderLoad, proveSolution } from "../../harness/testing.ts";
import lab from "./lab.ts";

proveSolution(lab);
provePitfallsUnderLoad(lab, [["sleep-in-handler", "no-head-of-line"]]);
