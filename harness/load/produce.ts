/**
 * Sends prepared produce requests to the brokers that lead a topic's partitions. Many are under way at once; none is
 * tried again, so that one message is one record.
 */
import { connect } from "node:net";
import type { Admin } from "kafkajs";
import { type Placed, parseProduceResponse, setCorrelation } from "./produce-request.ts";

/** A request without an answer for so long has failed, and with it its connection. */
export const requestTimeoutMs = 10_000;
const lookEveryMs = 1_000;

export interface Producer {
  /** The broker to which a record of this partition goes, as known now. */
  leaderOf(partition: number): number;
  /** Sends at once; resolves with the broker's answer, whatever it says. Rejects when there is none. */
  send(leader: number, request: Buffer): Promise<readonly Placed[]>;
  close(): void;
}

/** Resolves when there is a connection to every leader. */
export async function openProducer(admin: Admin, topic: string): Promise<Producer> {
  let leaders = await leadersOf(admin, topic);
  const connections = new Map<number, Connection>();
  let looking = false;

  const connectionTo = async (leader: number): Promise<Connection> => {
    const address = leaders.addresses.get(leader);
    if (address === undefined) throw new Error(`the broker ${leader} of ${topic} is not known`);
    return openConnection(address.host, address.port);
  };

  /** A leader may have moved: looks where it is, for the requests to come. */
  function lookAgain(): void {
    if (looking) return;
    looking = true;
    leadersOf(admin, topic)
      .then(
        (found) => {
          leaders = found;
        },
        () => undefined,
      )
      .finally(() => {
        looking = false;
      });
  }

  for (const leader of new Set(leaders.ofPartition.values()))
    connections.set(leader, await connectionTo(leader));

  return {
    leaderOf: (partition) => leaders.ofPartition.get(partition) ?? -1,
    async send(leader, request) {
      let connection = connections.get(leader);
      if (connection === undefined || connection.isClosed) {
        connection = await connectionTo(leader).catch((error: unknown) => {
          lookAgain();
          throw error;
        });
        connections.set(leader, connection);
      }
      const placed = await connection.send(request);
      if (placed.some(({ errorCode }) => errorCode !== 0)) lookAgain();
      return placed;
    },
    close() {
      for (const connection of connections.values()) connection.close();
    },
  };
}

async function leadersOf(admin: Admin, topic: string) {
  const [{ topics }, { brokers }] = await Promise.all([
    admin.fetchTopicMetadata({ topics: [topic] }),
    admin.describeCluster(),
  ]);
  return {
    ofPartition: new Map(topics[0]?.partitions.map((one) => [one.partitionId, one.leader]) ?? []),
    addresses: new Map(brokers.map((one) => [one.nodeId, { host: one.host, port: one.port }])),
  };
}

interface Connection {
  readonly isClosed: boolean;
  send(request: Buffer): Promise<readonly Placed[]>;
  close(): void;
}

interface Waiting {
  readonly correlationId: number;
  readonly sentAt: number;
  readonly resolve: (placed: readonly Placed[]) => void;
  readonly reject: (error: Error) => void;
}

async function openConnection(host: string, port: number): Promise<Connection> {
  const socket = connect({ host, port, noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  /** A broker answers the requests of a connection in their order. */
  const waiting: Waiting[] = [];
  let isClosed = false;
  let nextId = 1;
  let unread: Buffer = Buffer.alloc(0);

  const clock = setInterval(() => {
    const oldest = waiting[0];
    if (oldest !== undefined && performance.now() - oldest.sentAt > requestTimeoutMs) {
      socket.destroy(new Error(`no answer within ${requestTimeoutMs / 1000} s`));
    }
  }, lookEveryMs);
  clock.unref();

  socket.on("data", (chunk: Buffer) => {
    unread = unread.length === 0 ? chunk : Buffer.concat([unread, chunk]);
    while (unread.length >= 4 && unread.length >= 4 + unread.readInt32BE(0)) {
      const end = 4 + unread.readInt32BE(0);
      const { correlationId, placed } = parseProduceResponse(unread.subarray(4, end));
      unread = unread.subarray(end);
      const first = waiting.shift();
      if (first?.correlationId === correlationId) first.resolve(placed);
      else socket.destroy(new Error("the broker answered another request than the oldest"));
    }
  });
  const over = (error: Error): void => {
    isClosed = true;
    clearInterval(clock);
    for (const { reject } of waiting.splice(0)) reject(error);
  };
  socket.on("error", over);
  socket.on("close", () => over(new Error("the connection to the broker was closed")));

  return {
    get isClosed() {
      return isClosed;
    },
    send(request) {
      const correlationId = nextId++;
      setCorrelation(request, correlationId);
      return new Promise((resolve, reject) => {
        waiting.push({ correlationId, sentAt: performance.now(), resolve, reject });
        socket.write(request);
      });
    },
    close: () => socket.destroy(),
  };
}
