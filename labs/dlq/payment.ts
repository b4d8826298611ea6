/** What a payment message must be, and what it is called when it is none. */
import { z } from "zod";

/** Why a message cannot succeed: a class that operators filter by, a line for people, and where it was found. */
export interface Poison {
  readonly class: "malformed" | "invalid" | "too-large" | "refused" | "exhausted";
  readonly message: string;
  readonly stack: string | undefined;
}

export interface Payment {
  readonly eventId: string;
  readonly accountId: string;
  readonly amountCents: number;
}

/** Larger ones are kept and not read: a few of them would stop the worker for as long as it takes to parse them. */
const maxBytes = 100_000;

/** The form of a payment. That the amount is possible is a rule of business, and not of form. */
const form = z.object({
  eventId: z.uuid(),
  accountId: z.string().min(1),
  amountCents: z.int(),
  occurredAt: z.iso.datetime({ offset: true }),
  sequence: z.int().nonnegative(),
  padding: z.string(),
});

export function readPayment(value: Buffer | null): Payment | Poison {
  if (value === null) return poison("malformed", "the message has no value");
  if (value.length > maxBytes) {
    return poison("too-large", `the value has ${value.length} bytes, and at most ${maxBytes} are read`);
  }
  let json: unknown;
  try {
    json = JSON.parse(value.toString());
  } catch (error) {
    return poison("malformed", `the value is not JSON: ${error instanceof Error ? error.message : error}`);
  }
  const { data, error } = form.safeParse(json);
  if (error !== undefined) {
    const [issue] = error.issues;
    return poison("malformed", `${issue?.path.join(".") || "the value"}: ${issue?.message}`);
  }
  if (data.amountCents <= 0)
    return poison("invalid", `amountCents must be above 0, and is ${data.amountCents}`);
  return data;
}

export function poison(className: Poison["class"], message: string): Poison {
  return { class: className, message, stack: new Error(message).stack };
}

export const isPoison = (read: Payment | Poison): read is Poison => "class" in read;
