/** What the harness says to its gateway process and its reference caller, and they to it. */
import type { CallOverhead } from "./overhead.ts";
import type { GatewayOrder } from "./plan.ts";

/** Header of every answer: how long the gateway had the call, in ms. */
export const workHeader = "gateway-work-ms";

/** Where the reference caller calls: served like a payment, neither noted nor counted among the open calls. */
export const referencePath = "/reference";

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
  /** How much earlier than noted a call may have ended: the gateway was held up. */
  readonly endLateMs: Float64Array;
  readonly status: Uint16Array;
  /** Calls that were open when this one came, itself included. */
  readonly open: Uint16Array;
}

export type FromGateway =
  | { readonly type: "ready"; readonly port: number }
  | { readonly type: "counters"; readonly counters: GatewayCounters }
  | { readonly type: "attempts"; readonly attempts: Attempts }
  | { readonly type: "failed"; readonly text: string };

export interface ReferenceOrder {
  readonly url: string;
  readonly bodyBytes: number;
  /** Calls at once before the load. */
  readonly concurrency: number;
}

export type ToReference =
  | { readonly type: "order"; readonly order: ReferenceOrder }
  | { readonly type: "start"; readonly atEpochMs: number }
  | { readonly type: "report" };

/** What calls cost beyond the gateway's work, and when; a column each. Times are since the load began. */
export interface OverheadSamples {
  readonly atMs: Float64Array;
  readonly overheadMs: Float64Array;
}

export type FromReference =
  | { readonly type: "calibrated"; readonly callOverhead: CallOverhead }
  | { readonly type: "samples"; readonly samples: OverheadSamples }
  | { readonly type: "failed"; readonly text: string };
