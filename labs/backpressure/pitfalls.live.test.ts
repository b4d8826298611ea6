import { provePitfalls } from "../../harness/testing.ts";
import lab from "./lab.ts";

provePitfalls(lab, [
  ["unbounded-buffer", "bounded-memory"],
  ["unbounded-concurrency", "bounded-concurrency"],
  ["fixed-throttle", "rate-matches-capacity"],
  ["drop-when-busy", "lossless"],
  ["no-heartbeat", "no-rebalance"],
]);
