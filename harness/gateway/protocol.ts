/** What the harness and its gateway process say to each other. */
import type { GatewayOrder } from "./plan.ts";

/** Header of every answer: how long the gateway had the call, in ms. */
export const workHeader = "gateway-work-ms";

export type ToGateway =
  | { readonly type: "order"; readonly order: GatewayOrder }
  | { readonly type: "start"; readonly atEpochMs: number }
  | { readonly type: "report" };

export interface GatewayCounters {
  readonly attempts: number;
  readonly accepted: number;
  /** Calls that have come and are not answered. */
  readonly open: number;
}

/** Calls since the load began, in the order in which they came; a column each. Times are since the load began. */
export interface Attempts {
  readonly eventIds: readonly string[];
  readonly arrivedMs: Float64Array;
  /** NaN when the caller went away before the answer. */
  readonly answeredMs: Float64Array;
  /** When the caller went away before the answer; NaN for an answered call, and for one that is still open. */
  readonly leftMs: Float64Array;
  readonly status: Uint16Array;
  /** Calls that were open when this one came, itself included. */
  readonly open: Uint16Array;
}

export type FromGateway =
  | { readonly type: "ready"; readonly port: number }
  | { readonly type: "counters"; readonly counters: GatewayCounters }
  | { readonly type: "attempts"; readonly attempts: Attempts }
  | { readonly type: "failed"; readonly text: string };
