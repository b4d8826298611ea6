/**
 * Mistake: 202 is said as soon as the event has been taken in, and stored afterwards.
 *
 * Why people make it: answers in a millisecond, the dashboard is green, and "accepted" is what 202 means after all.
 *
 * What it costs: the sender forgets the event when it reads 202. Whatever is in memory when the process is killed is
 * then nowhere, and nobody will ever send it again.
 *
 * Fails `lossless`.
 */
import { parts, work } from "../solution.ts";

await work({ ...parts, answer: "taken" });
