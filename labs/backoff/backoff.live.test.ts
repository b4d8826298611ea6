import { proveSolution } from "../../harness/testing.ts";
import lab from "./lab.ts";

proveSolution(lab);
