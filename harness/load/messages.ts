/**
 * What is sent: a pure function of seed, load and index. The judge makes the same messages again from
 * the record instead of trusting a copy.
 */
import { Partitioners } from "kafkajs";
import type { CopyKind, Load } from "../lab.ts";
import { planCopies } from "./copies.ts";
import { integer, type Random, randomFor } from "./random.ts";
import { dueTimes, schedule } from "./schedule.ts";

/** The worker contract's event. */
export interface PaymentEvent {
  readonly eventId: string;
  readonly accountId: string;
  readonly amountCents: number;
  readonly occurredAt: string;
  readonly sequence: number;
  readonly padding: string;
}

/** The ways in which a message is not an event, in loads that do not name their own. */
export const malformations = [
  "invalid-json",
  "missing-field",
  "wrong-type",
  "empty",
  "no-value",
  "oversized",
] as const;
/** `invalid` has the form of an event, and an amount that no payment can have. */
const allMalformations = [...malformations, "invalid"] as const;
export type Malformation = (typeof allMalformations)[number];

export interface PlannedMessage {
  readonly index: number;
  readonly accountId: string;
  readonly partition: number;
  /** What is wrong with it; undefined for a well-formed event. */
  readonly malformation: Malformation | undefined;
  /** Name of the trouble that a well-formed event will have at the gateway, if any. */
  readonly trouble?: string | undefined;
  /** For an event that was sent before: the message that brought it first, and how this one repeats it. */
  readonly copyOf?: number | undefined;
  readonly copy?: CopyKind | undefined;
}

/** A message with its content and the place the broker gave it. */
export interface SentMessage extends PlannedMessage {
  readonly topic: string;
  /** -1 when the broker never acknowledged it. */
  readonly offset: number;
  /** Undefined for a malformed message. */
  readonly event: PaymentEvent | undefined;
  /** The bytes sent, null for a message without a value; made anew at each call. */
  value(): Buffer | null;
  /** Value of the header `trace`, in loads that are traced. */
  readonly trace?: Buffer | undefined;
}

export interface Plan {
  readonly length: number;
  at(index: number): PlannedMessage;
  /** Undefined for a malformed message. */
  event(index: number): PaymentEvent | undefined;
  /** The event's id alone, cheaper than the event; undefined for a malformed message. */
  eventId(index: number): string | undefined;
  /** The bytes to send; made anew at each call. */
  value(index: number): Buffer | null;
  /** Bytes of the header `trace`, not text on purpose; undefined where the load is not traced. */
  trace(index: number): Buffer | undefined;
}

/** Events of which a copy goes to another partition: the row of such a one does not tell by which message it came. */
export function sentElsewhere({ length, at }: Pick<Plan, "length" | "at">): ReadonlySet<number> {
  const events = new Set<number>();
  for (let i = 0; i < length; i += 1) {
    const { copy, copyOf } = at(i);
    if (copyOf !== undefined && copy?.elsewhere === true) events.add(copyOf);
  }
  return events;
}

/** One in this many malformed messages is a 1 MB one. */
const oversizedOneIn = 40;
const oversizedBytes = 1_000_000;
/** The first day of business time; events carry due times after it, so that equal seeds give equal bytes. */
const businessEpoch = Date.UTC(2026, 0, 5, 8);
const paddingAlphabet = [
  ..."abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789     ,;:'\"\\\t\né漢😀",
];

/**
 * Plans all messages of a load. Partitions follow Kafka's default partitioner (murmur2 of the key).
 * @throws RangeError for a padding longer than can be made
 */
export function planMessages(seed: number, load: Load, partitions: number): Plan {
  if (load.paddingLength > maxPaddingLength)
    throw new RangeError(`paddingLength is ${load.paddingLength}, more than ${maxPaddingLength}`);
  const phases = schedule(load.phases);
  const due = dueTimes(phases);
  const { length } = due;
  /** 1 for a message of a phase of healthy ones. */
  const healthy = new Uint8Array(length);
  for (const [p, { first, count }] of phases.entries())
    if (load.phases[p]?.healthy === true) healthy.fill(1, first, first + count);
  const accounts = Array.from({ length: load.accounts }, (_, i) => `acct-${String(i).padStart(4, "0")}`);
  const partitionOf = accounts.map((account) => partitionOfKey(account, partitions));
  const account = new Uint16Array(length);
  const sequence = new Uint32Array(length);
  /** 0 for an event, else 1 + index into `allMalformations`. */
  const kind = new Uint8Array(length);

  /** 0 for none, else 1 + index into the load's troubles. */
  const trouble = new Uint8Array(length);
  const troubles = load.trouble ?? [];

  const copyKinds = load.copies ?? [];
  /** The message that brought the event first; its own index for all but copies. */
  const origin = Uint32Array.from({ length }, (_, i) => i);
  /** 0 for none, else 1 + index into the load's kinds of copies. */
  const copy = new Uint8Array(length);
  const partitionsOn = new Uint16Array(length);
  const isOriginal = (index: number) => copy[index] === 0 && kind[index] === 0;
  const copies = planCopies(seed, copyKinds, due, partitions, isOriginal);

  const nextSequence = new Uint32Array(load.accounts);
  let malformed = 0;
  for (let i = 0; i < length; i += 1) {
    const planned = copyKinds.length === 0 ? undefined : copies.at(i);
    if (planned !== undefined) {
      origin[i] = planned.of;
      copy[i] = 1 + planned.kind;
      partitionsOn[i] = planned.partitionsOn;
      account[i] = account[planned.of] ?? 0;
      trouble[i] = trouble[planned.of] ?? 0;
      continue;
    }
    const random = randomFor(seed, i);
    const a = integer(random, 0, load.accounts - 1);
    account[i] = a;
    if (load.malformedOneIn > 0 && healthy[i] === 0 && random() * load.malformedOneIn < 1) {
      kind[i] = 1 + allMalformations.indexOf(malformationAt(malformed, load));
      malformed += 1;
    } else {
      nextSequence[a] = (nextSequence[a] ?? 0) + 1;
      sequence[i] = nextSequence[a] ?? 0;
      for (const [t, { oneIn }] of troubles.entries()) {
        if (random() * oneIn < 1 && healthy[i] === 0) trouble[i] ||= 1 + t;
      }
    }
  }

  const eventRandom = (index: number) => randomFor(seed ^ 0x5bd1e995, index);
  const eventAt = (index: number): PaymentEvent => {
    const random = eventRandom(index);
    return {
      // First, so that `eventId` draws the same numbers.
      eventId: uuid(random),
      accountId: accounts[account[index] ?? 0] ?? "",
      amountCents: amount(random),
      occurredAt: new Date(businessEpoch + index * 7 + integer(random, 0, 6)).toISOString(),
      sequence: sequence[index] ?? 0,
      padding: padding(random, load.paddingLength),
    };
  };
  const copyOf = (index: number) => copyKinds[(copy[index] ?? 0) - 1];
  const sentAt = (index: number): PaymentEvent => {
    const event = eventAt(origin[index] ?? index);
    return copyOf(index)?.conflicting === true
      ? { ...event, amountCents: event.amountCents + integer(eventRandom(index), 1, 1_000) }
      : event;
  };
  const malformationOf = (index: number) => allMalformations[(kind[index] ?? 0) - 1];
  return {
    length,
    at(index) {
      const a = account[index] ?? 0;
      return {
        index,
        accountId: accounts[a] ?? "",
        partition: ((partitionOf[a] ?? 0) + (partitionsOn[index] ?? 0)) % partitions,
        malformation: malformationOf(index),
        trouble: troubles[(trouble[index] ?? 0) - 1]?.name,
        ...(copy[index] === 0 ? {} : { copyOf: origin[index], copy: copyOf(index) }),
      };
    },
    event: (index) => (malformationOf(index) === undefined ? sentAt(index) : undefined),
    eventId: (index) =>
      malformationOf(index) === undefined ? uuid(eventRandom(origin[index] ?? index)) : undefined,
    value(index) {
      const malformation = malformationOf(index);
      const event = sentAt(index);
      return malformation === undefined
        ? Buffer.from(JSON.stringify(event))
        : malformedValue(malformation, event, randomFor(seed ^ 0x27d4eb2f, index));
    },
    trace(index) {
      if (load.traced !== true) return undefined;
      const random = randomFor(seed ^ 0x1b873593, index);
      return Buffer.from([0xff, 0x00, ...Array.from({ length: 14 }, () => Math.floor(random() * 256))]);
    },
  };
}

const partitioner = Partitioners.DefaultPartitioner();

function partitionOfKey(key: string, partitions: number): number {
  const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => ({
    partitionErrorCode: 0,
    partitionId,
    leader: 0,
    replicas: [],
    isr: [],
  }));
  return partitioner({ topic: "", partitionMetadata, message: { key, value: null } });
}

/** Malformations take turns; unless the load names its own, the big one is rare, and early enough to be in any load. */
function malformationAt(ordinal: number, { malformations: named = [] }: Load): Malformation {
  const own = named[ordinal % named.length];
  if (own !== undefined) return own;
  if (ordinal % oversizedOneIn === 7) return "oversized";
  return malformations[ordinal % (malformations.length - 1)] ?? "empty";
}

function malformedValue(malformation: Malformation, event: PaymentEvent, random: Random): Buffer | null {
  switch (malformation) {
    case "invalid-json": {
      const text = JSON.stringify(event);
      return Buffer.from(text.slice(0, integer(random, 1, text.length - 1)));
    }
    case "missing-field": {
      const fields = Object.entries(event);
      fields.splice(integer(random, 0, fields.length - 1), 1);
      return Buffer.from(JSON.stringify(Object.fromEntries(fields)));
    }
    case "wrong-type": {
      const wrong = [
        { amountCents: String(event.amountCents) },
        { amountCents: event.amountCents + 0.5 },
        { amountCents: null },
        { occurredAt: "yesterday" },
        { eventId: 42 },
        { sequence: "first" },
      ];
      return Buffer.from(JSON.stringify({ ...event, ...wrong[integer(random, 0, wrong.length - 1)] }));
    }
    case "invalid":
      return Buffer.from(JSON.stringify({ ...event, amountCents: -event.amountCents }));
    case "empty":
      return Buffer.alloc(0);
    case "no-value":
      return null;
    case "oversized":
      // Not JSON, and not UTF-8 either: what is kept must be bytes.
      return Buffer.alloc(oversizedBytes, Buffer.from([0xff, 0x00, integer(random, 1, 254), 0x7b, 0x22]));
  }
}

const hexOfByte = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** RFC 9562 version 4 layout, from seeded bits. */
function uuid(random: Random): string {
  let text = "";
  for (let byte = 0; byte < 16; byte += 1) {
    const bits = Math.floor(random() * 256);
    if (byte === 4 || byte === 6 || byte === 8 || byte === 10) text += "-";
    text += hexOfByte[byte === 6 ? (bits & 0x0f) | 0x40 : byte === 8 ? (bits & 0x3f) | 0x80 : bits];
  }
  return text;
}

/** Mostly everyday amounts; one in 50 beyond 32 bits, where a too narrow column or a float loses cents. */
function amount(random: Random): number {
  return random() < 0.02 ? integer(random, 3_000_000_000, 4_000_000_000_000) : integer(random, 1, 500_000);
}

/** No padding is longer, in characters. */
const maxPaddingLength = 1 << 16;
const poolRandom = randomFor(0x165667b1, 0);
/** Characters (not code units: an emoji stays whole) from which paddings are cut. */
const paddingPool = Array.from(
  { length: maxPaddingLength },
  () => paddingAlphabet[Math.floor(poolRandom() * paddingAlphabet.length)] ?? "x",
);

const paddingText = paddingPool.join("");
/** Where each character begins in `paddingText`, and its end: a long padding is one slice, not thousands of characters. */
const paddingAt = new Uint32Array(paddingPool.length + 1);
for (let i = 0, at = 0; i <= paddingPool.length; i += 1) {
  paddingAt[i] = at;
  at += paddingPool[i]?.length ?? 0;
}

function padding(random: Random, length: number): string {
  const from = Math.floor(random() * (paddingPool.length - length));
  return paddingText.slice(paddingAt[from], paddingAt[from + length]);
}
