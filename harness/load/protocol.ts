/** What the harness and its load generator say to each other. */
import type { Load } from "../lab.ts";

export interface GeneratorOrder {
  readonly brokers: string;
  readonly topic: string;
  /** What the broker is warmed up with goes there; it has as many partitions. */
  readonly warmUpTopic: string;
  readonly partitions: number;
  readonly seed: number;
  readonly load: Load;
}

export type ToGenerator =
  | { readonly type: "order"; readonly order: GeneratorOrder }
  | { readonly type: "start"; readonly atEpochMs: number }
  | { readonly type: "stop" };

/** One request: messages `first`, `first + 1`, and so on, in order. Times are since the load began. */
export interface Acknowledged {
  readonly first: number;
  readonly partitions: Int16Array;
  /** -1 where the broker did not acknowledge. */
  readonly offsets: Float64Array;
  readonly sentMs: number;
  readonly ackedMs: number;
}

export type FromGenerator =
  | { readonly type: "warming-up" }
  | { readonly type: "ready"; readonly planned: number }
  | { readonly type: "acknowledged"; readonly requests: readonly Acknowledged[] }
  | { readonly type: "error"; readonly text: string }
  | { readonly type: "failed"; readonly text: string }
  | { readonly type: "done"; readonly sent: number };
