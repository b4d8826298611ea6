import { provePitfalls } from "../../harness/testing.ts";
import lab from "./lab.ts";

provePitfalls(lab, [
  ["retry-at-once", "cadence"],
  ["sleep-in-handler", "no-head-of-line"],
  ["timer-in-memory", "durable"],
  ["linear", "exponential"],
  ["retry-forever", "attempts-bounded"],
  ["no-jitter", "no-herd"],
]);
