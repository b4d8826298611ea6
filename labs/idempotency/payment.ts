/** A payment as the worker asks for it: with the key that names it, and the hash that tells it from another one. */
import type { KeyedCall } from "../../toolkit/delivery/once.ts";
import type { KafkaRecord } from "../../toolkit/kafka/record.ts";

/** What this lab uses of the event. */
export interface Payment {
  readonly eventId: string;
  readonly accountId: string;
  readonly amountCents: number;
}

export interface Call extends KeyedCall {
  readonly payment: Payment;
  readonly record: KafkaRecord;
}

/** In this lab every message is well-formed; one that is not stops the worker, since there is no table for it. */
export function parsePayment(value: Buffer | null): Payment {
  const { eventId, accountId, amountCents } = JSON.parse(String(value)) as Partial<Payment>;
  if (typeof eventId !== "string" || typeof accountId !== "string" || !Number.isSafeInteger(amountCents)) {
    throw new TypeError("the message is no payment");
  }
  return { eventId, accountId, amountCents: amountCents as number };
}
