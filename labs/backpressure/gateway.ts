/** The way to the gateway: kept connections, and one call at a time on each. */
import { setTimeout as delay } from "node:timers/promises";
import { openPoster } from "../../toolkit/http/poster.ts";

export interface Gateway {
  /**
   * Resolves when the gateway accepted the event; tries again, with a growing wait, for as long as it says "later"
   * or does not answer. Rejects when it refuses the event for good.
   */
  accept(eventId: string, body: Buffer): Promise<void>;
  close(): void;
}

const firstWaitMs = 50;
const longestWaitMs = 2_000;

/** @param url without a slash at its end */
export function openGateway(url: string): Gateway {
  const poster = openPoster();
  return {
    async accept(eventId, body) {
      for (let waitMs = firstWaitMs; ; waitMs = Math.min(longestWaitMs, waitMs * 2)) {
        const status = await poster.post(`${url}/payments/${eventId}`, body).catch(() => 503);
        if (status === 200) return;
        if (status === 422) throw new Error(`the gateway refuses event ${eventId}`);
        await delay(waitMs);
      }
    },
    close: poster.close,
  };
}
