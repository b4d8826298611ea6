/** Options of the command line, as values of the toolkit. */
import { InvalidArgumentError } from "commander";
import { type DeadLetterState, deadLetterStates } from "../delivery/dead-letter-schema.ts";
import type { Filter } from "../delivery/operate.ts";

export interface FilterOptions {
  readonly class?: string[];
  readonly topic?: string;
  readonly state?: DeadLetterState[];
  readonly olderThan?: number;
  readonly youngerThan?: number;
}

export function filterOf(ids: readonly string[], options: FilterOptions): Filter {
  return {
    ...(ids.length === 0 ? {} : { ids: ids.map(letterId) }),
    ...(options.class === undefined ? {} : { classes: options.class }),
    ...(options.topic === undefined ? {} : { topic: options.topic }),
    ...(options.state === undefined ? {} : { states: options.state }),
    ...(options.olderThan === undefined ? {} : { olderThanMs: options.olderThan }),
    ...(options.youngerThan === undefined ? {} : { youngerThanMs: options.youngerThan }),
  };
}

export function letterId(text: string): string {
  if (!/^\d{1,18}$/.test(text))
    throw new InvalidArgumentError(`a letter's id is a number, and not "${text}"`);
  return text;
}

export function stateName(text: string, before: DeadLetterState[] = []): DeadLetterState[] {
  const state = deadLetterStates.find((one) => one === text);
  if (state === undefined) throw new InvalidArgumentError(`one of ${deadLetterStates.join(", ")}`);
  return [...before, state];
}

export const collected = (text: string, before: string[] = []): string[] => [...before, text];

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** "90s", "5m", "2h", "1d", "500ms": milliseconds. */
export function duration(text: string): number {
  const [, number = "", unit = ""] = /^(\d+)(ms|s|m|h|d)$/.exec(text) ?? [];
  if (number === "") throw new InvalidArgumentError("a number and a unit, such as 90s, 5m, 2h or 1d");
  return Number(number) * unitMs[unit as keyof typeof unitMs];
}

/** A whole number of at least 1. */
export function positive(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError("a whole number of at least 1");
  return Number(text);
}
