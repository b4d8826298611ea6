import { provePitfallsUnderLoad, proveSolution } from "../../harness/testing.ts";
import lab from "./lab.ts";

proveSolution(lab);
provePitfallsUnderLoad(lab, [["stop-the-world", "no-head-of-line"]]);
