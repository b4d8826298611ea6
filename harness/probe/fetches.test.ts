import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ConnectionObserver, Direction, Link } from "../stack/stack.ts";
import { watchFetches } from "./fetches.ts";

/**
 * What passed the proxy while three clients read 24 events of `payments` (two partitions, batches of two, fetches of
 * 1,000 bytes, which cut batches off) and the one of `other`: kafkajs 2.2.4 (Fetch 11), librdkafka 2.16.0 (16) and
 * Kafka's own Java client 4.1.0 (18). By connection: direction and bytes as base64, in order.
 */
type Conversation = readonly (readonly [Direction, string])[];
const recorded: Readonly<Record<string, readonly Conversation[]>> = JSON.parse(
  readFileSync(new URL("./fetches-recorded.json", import.meta.url), "utf8"),
);
const clients = Object.entries(recorded);

function watched(topic = "payments") {
  let connect: () => ConnectionObserver = () => {
    throw new Error("nobody observes");
  };
  const observe: Link["observe"] = (observerOf) => {
    connect = observerOf;
    return () => undefined;
  };
  const fetches = watchFetches({ observe } as Link, topic);
  return { fetches, connect: () => connect() };
}

/** @param pieceOf how many bytes go on at once */
function replay(
  connect: () => ConnectionObserver,
  all: readonly Conversation[],
  pieceOf: () => number,
): void {
  for (const conversation of all) {
    const observe = connect();
    for (const [direction, base64] of conversation) {
      const bytes = Buffer.from(base64, "base64");
      for (let at = 0; at < bytes.length; ) {
        const to = at + pieceOf();
        // Memory that is used again, like a socket's.
        observe(direction, Buffer.from(bytes.subarray(at, to)));
        at = to;
      }
    }
  }
}

describe.each(clients)("what %s was handed", (_client, conversations) => {
  test("is counted once, however the bytes come, though fetches cut batches off", () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.integer({ min: 1, max: 700 })), (pieces) => {
        const { fetches, connect } = watched();
        replay(connect, conversations, () => pieces.next().value);
        expect(fetches.events()).toBe(24);
      }),
      { numRuns: 40 },
    );
  });

  test("is of the topic alone", () => {
    const { fetches, connect } = watched("other");
    replay(connect, conversations, () => 10_000);
    expect(fetches.events()).toBe(1);
  });

  test("counts no more, and no less, when all is fetched again", () => {
    const { fetches, connect } = watched();
    replay(connect, conversations, () => 10_000);
    replay(connect, conversations, () => {
      expect(fetches.events()).toBe(24);
      return 50;
    });
    expect(fetches.events()).toBe(24);
  });

  test("grows by whole batches, once their last byte has gone on", () => {
    const { fetches, connect } = watched();
    const counts: number[] = [];
    let values = 0;
    let letters = 0;
    replay(
      () => {
        const observe = connect();
        return (direction, byte) => {
          observe(direction, byte);
          // Each event's value is 120 letters x.
          letters = direction === "toWorker" && byte.toString() === "x" ? letters + 1 : 0;
          if (letters === 120) values += 1;
          const events = fetches.events() ?? 0;
          if (events !== counts.at(-1)) counts.push(events);
          expect(events).toBeLessThanOrEqual(values);
        };
      },
      conversations,
      () => 1,
    );
    expect(counts).toEqual(Array.from({ length: 13 }, (_, i) => 2 * i));
  });

  test("cannot be told when an answer breaks off and another begins in it", () => {
    const { fetches, connect } = watched();
    const observe = connect();
    const [[, request] = [], [, answer] = []] = fetchOf(conversations);
    observe("toService", Buffer.from(request ?? "", "base64"));
    const bytes = Buffer.from(answer ?? "", "base64");
    // Its length says less than it holds.
    bytes.writeInt32BE(30, 0);
    observe("toWorker", bytes);
    expect(fetches.events()).toBeUndefined();
  });
});

/** The first request of a fetch that brought a batch, and its answer. */
function fetchOf(conversations: readonly Conversation[]): Conversation {
  for (const conversation of conversations) {
    for (const [i, [direction, base64]] of conversation.entries()) {
      const next = conversation[i + 1];
      const isFetch = direction === "toService" && Buffer.from(base64, "base64").readInt16BE(4) === 1;
      if (isFetch && next !== undefined && next[1].length > 600) return [[direction, base64], next];
    }
  }
  throw new Error("no fetch brought anything");
}

test("a topic whose id nobody told cannot be told from another", () => {
  const { fetches, connect } = watched();
  replay(connect, [fetchOf(recorded.java ?? [])], () => 10_000);
  expect(fetches.events()).toBeUndefined();
});

test.each([
  ["of a share group", 78, 1],
  ["older than any broker's", 1, 3],
  ["newer than what is known here", 1, 19],
])("after a fetch %s nothing can be told", (_which, key, version) => {
  const { fetches, connect } = watched();
  const request = Buffer.alloc(20);
  request.writeInt32BE(16, 0);
  request.writeInt16BE(key, 4);
  request.writeInt16BE(version, 6);
  connect()("toService", request);
  expect(fetches.events()).toBeUndefined();
});

test("other requests and their answers are passed over, whatever they hold", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 8, max: 60 }), fc.uint8Array({ minLength: 4, maxLength: 400 })), {
        maxLength: 20,
      }),
      (exchanges) => {
        const { fetches, connect } = watched();
        const observe = connect();
        for (const [i, [key, body]] of exchanges.entries()) {
          const request = Buffer.alloc(12);
          request.writeInt32BE(8, 0);
          request.writeInt16BE(key, 4);
          request.writeInt32BE(i, 8);
          observe("toService", request);
          const answer = Buffer.alloc(8 + body.length);
          answer.writeInt32BE(4 + body.length, 0);
          answer.writeInt32BE(i, 4);
          answer.set(body, 8);
          observe("toWorker", answer);
        }
        expect(fetches.events()).toBe(0);
      },
    ),
  );
});
