/** The rounds of the drill, from the numbers of a profile: the judge makes the same again from the record. */
import { randomFor } from "../../../harness/load/random.ts";

export type Dispatch = "demand" | "broadcast" | "partition";

export interface Round {
  readonly name: string;
  readonly dispatch: Dispatch;
  /** How long each consumer works on an event, in ms; one entry a consumer. */
  readonly workMs: readonly number[];
  /** Events that the producer has. */
  readonly events: number;
}

/** What a subject is told of a round. */
export type RoundOrder = Pick<Round, "name" | "dispatch"> & { readonly consumers: number };

const keys = 12;

/** `unit`: events that one consumer of 5 ms works on in the first round. */
export function roundsOf(unit: number): readonly Round[] {
  return [
    { name: "one", dispatch: "demand", workMs: [5], events: unit },
    { name: "three", dispatch: "demand", workMs: [5, 5, 5], events: 3 * unit },
    { name: "slow", dispatch: "demand", workMs: [5, 5, 40], events: 3 * unit },
    { name: "broadcast", dispatch: "broadcast", workMs: [5, 5, 10], events: Math.round(0.75 * unit) },
    { name: "partition", dispatch: "partition", workMs: [5, 5, 5], events: 3 * unit },
  ];
}

/** The key of an event: what must be handled by one consumer, in order. */
export function keyOf(seed: number, event: number): string {
  return `key-${Math.floor(randomFor(seed, event)() * keys)}`;
}
