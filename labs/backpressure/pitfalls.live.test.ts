import { provePitfalls } from "../../harness/testing.ts";
import lab from "./lab.ts";

provePitfalls(lab, [
  ["unbounded-concurrency", "bounded-concurrency"],
  ["drop-when-busy", "lossless"],
  ["no-heartbeat", "no-rebalance"],
]);
