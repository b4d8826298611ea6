/** What the harness and its flooding client say to each other. */
import type { Load } from "../lab.ts";

export interface FloodOrder {
  /** Where each message is posted to. */
  readonly url: string;
  readonly seed: number;
  readonly load: Load;
}

export type ToFlood =
  | { readonly type: "order"; readonly order: FloodOrder }
  | { readonly type: "start"; readonly atEpochMs: number };

/** Requests by message; a column each. Times are since the load began. */
export interface Requests {
  /** NaN when it was never sent. */
  readonly sentMs: Float64Array;
  /** NaN without an answer. */
  readonly answeredMs: Float64Array;
  /** 0 without an answer. */
  readonly status: Uint16Array;
  /** What the header Retry-After said, in seconds; NaN without one. */
  readonly retryAfterSeconds: Float64Array;
}

export type FromFlood =
  | { readonly type: "ready"; readonly planned: number }
  | { readonly type: "done"; readonly requests: Requests };
