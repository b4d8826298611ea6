import { provePitfallsUnderLoad, proveSolution } from "../../harness/testing.ts";
import lab from "./lab.ts";

proveSolution(lab);
provePitfallsUnderLoad(lab, [["round-robin", "slow-holds-up-nobody"]]);
