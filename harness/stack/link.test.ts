import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { openLink } from "./link.ts";
import {
  cleanUp,
  closed,
  connectFails,
  connectTo,
  seen,
  settle,
  startLink,
  startService,
  undo,
} from "./link-fixtures.ts";
import { freePort } from "./ports.ts";
import { until } from "./readiness.ts";

afterEach(cleanUp);

describe("an untouched link", () => {
  it("passes every byte on, in order, and counts exactly those", async () => {
    const service = await startService((socket) => socket.on("data", (chunk) => socket.write(chunk)));
    const link = await startLink(service.port);
    let total = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 40_000 }), { maxLength: 20 }),
        async (parts) => {
          const sent = Buffer.concat(parts);
          const client = connect({ host: "127.0.0.1", port: link.port });
          const back = createHash("sha256");
          let length = 0;
          client.on("data", (chunk) => {
            back.update(chunk);
            length += chunk.length;
          });
          await once(client, "connect");
          for (const part of parts) client.write(part);
          await seen("the echo", () => length === sent.length);
          expect(back.digest("hex")).toBe(createHash("sha256").update(sent).digest("hex"));
          client.destroy();
          total += sent.length;
          expect(link.bytes()).toEqual({ toService: total, toWorker: total });
        },
      ),
      { numRuns: 25 },
    );
  });

  it("passes a half-close on: the answer still comes after the question's end", async () => {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.resume();
      socket.on("end", () => socket.end("answer"));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    undo(() => server.close());
    const link = await startLink((server.address() as { port: number }).port);
    const client = await connectTo(link.port);
    client.socket.end("question");
    await once(client.socket, "end");
    expect(client.received()).toBe("answer");
    await seen("the pair's end", () => link.connections() === 0);
  });

  it("holds a sender back when the receiver does not read, instead of buffering", async () => {
    const service = await startService((socket) => socket.pause());
    const link = await startLink(service.port);
    const client = await connectTo(link.port);
    const chunk = Buffer.alloc(1 << 20);
    for (let sent = 0; sent < 64; sent += 1) client.socket.write(chunk);
    await settle();
    await settle();
    expect(client.socket.writableLength).toBeGreaterThan(32 << 20);
    expect(link.bytes().toService).toBeLessThan(32 << 20);
    service.sockets[0]?.resume();
    await seen("all 64 MB", () => link.bytes().toService === 64 << 20);
  });

  it("breaks the worker's connection when the service is not there, and lives on", async () => {
    const service = await startService();
    const link = await startLink(service.port);
    const gone = await openLink({ port: await freePort(), target: () => ({ host: "127.0.0.1", port: 1 }) });
    undo(() => gone.close());
    const client = await connectTo(gone.port);
    await closed(client.socket);
    expect(gone.connections()).toBe(0);
    await connectTo(link.port);
  });

  it("closes the service's side when a worker breaks off, and the worker's when the service does", async () => {
    const service = await startService();
    const link = await startLink(service.port);
    const first = await connectTo(link.port);
    await seen("the first pair", () => service.sockets.length === 1);
    first.socket.resetAndDestroy();
    await seen("the service's side closed", () => service.closes() === 1);
    const second = await connectTo(link.port);
    await seen("the second pair", () => service.sockets.length === 2);
    service.sockets[1]?.resetAndDestroy();
    await once(second.socket, "end");
    await seen("no pair left", () => link.connections() === 0);
  });
});

describe("an observer", () => {
  it("is told of the connections opened after it came, all that is forwarded and in order, until it goes", async () => {
    const service = await startService((socket) => socket.on("data", (chunk) => socket.write(chunk)));
    const link = await startLink(service.port);
    const before = await connectTo(link.port);
    const seenBytes: Record<"toService" | "toWorker", string>[] = [];
    const end = link.observe(() => {
      const one = { toService: "", toWorker: "" };
      seenBytes.push(one);
      return (direction, chunk) => {
        one[direction] += chunk.toString();
      };
    });
    const first = await connectTo(link.port);
    const second = await connectTo(link.port);
    before.socket.write("before");
    first.socket.write("one");
    second.socket.write("two");
    await seen("the echoes", () => first.received() === "one" && second.received() === "two");
    link.stall("toWorker");
    first.socket.write(" more");
    await seen("the rest at the service", () => seenBytes.some(({ toService }) => toService === "one more"));
    await settle();
    expect(seenBytes.map(({ toWorker }) => toWorker).sort()).toEqual(["one", "two"]);
    link.release();
    await seen("what was held", () => first.received() === "one more");
    expect(seenBytes.map(({ toWorker }) => toWorker).sort()).toEqual(["one more", "two"]);
    end();
    first.socket.write("!");
    await seen("the last echo", () => first.received() === "one more!");
    expect(seenBytes.map(({ toService }) => toService).sort()).toEqual(["one more", "two"]);
  });
});

describe("a cut link", () => {
  it("destroys what is open, refuses what comes, and accepts again once healed", async () => {
    const service = await startService();
    const link = await startLink(service.port);
    const client = await connectTo(link.port);
    await seen("the pair", () => service.sockets.length === 1);
    link.cut();
    link.cut();
    await closed(client.socket);
    expect(client.error()).toBe("ECONNRESET");
    await seen("the service's side closed", () => service.closes() === 1);
    expect(link.connections()).toBe(0);
    expect(await connectFails(link.port)).toBe("ECONNREFUSED");
    link.heal();
    link.cut();
    link.heal();
    await until(
      { what: "the healed link", probe: () => connectTo(link.port).then((it) => it.socket.write("hello")) },
      { timeoutMs: 2_000 },
    );
    await seen("the greeting", () => service.received() === "hello");
  });
});

describe("a stalled link", () => {
  it("holds one direction without closing it, and delivers on release", async () => {
    const service = await startService((socket) => socket.write("welcome"));
    const link = await startLink(service.port);
    const client = await connectTo(link.port);
    await seen("the welcome", () => client.received() === "welcome");
    link.stall("toService");
    client.socket.write("held");
    service.sockets[0]?.write(" again");
    await seen("the other direction", () => client.received() === "welcome again");
    await settle();
    expect(service.received()).toBe("");
    expect(link.bytes().toService).toBe(0);
    expect(client.socket.destroyed).toBe(false);
    link.release();
    await seen("the held bytes", () => service.received() === "held");
    expect(link.bytes().toService).toBe(4);
  });

  it("holds more than it buffers itself, and still delivers all of it in order", async () => {
    const sent = Buffer.from(Array.from({ length: 8 << 20 }, (_, i) => (i * 31 + (i >> 12)) & 0xff));
    const hash = createHash("sha256");
    let length = 0;
    const service = await startService((socket) => {
      socket.on("data", (chunk) => {
        hash.update(chunk);
        length += chunk.length;
      });
    });
    const link = await startLink(service.port);
    link.stall("toService");
    const client = await connectTo(link.port);
    client.socket.end(sent);
    await settle();
    expect(length).toBe(0);
    link.release();
    await seen("all bytes", () => length === sent.length);
    expect(hash.digest("hex")).toBe(createHash("sha256").update(sent).digest("hex"));
  });

  it("stalls connections made during the stall as well", async () => {
    const service = await startService((socket) => socket.write("welcome"));
    const link = await startLink(service.port);
    link.stall("toWorker");
    const client = await connectTo(link.port);
    await seen("the pair", () => service.sockets.length === 1);
    await settle();
    expect(client.received()).toBe("");
    link.release();
    await seen("the welcome", () => client.received() === "welcome");
  });

  it("keeps even the sender's end back: a worker killed meanwhile looks alive to the service", async () => {
    const service = await startService();
    const link = await startLink(service.port);
    const client = await connectTo(link.port);
    await seen("the pair", () => service.sockets.length === 1);
    link.stall("toService");
    client.socket.end("last words");
    client.socket.destroySoon();
    await closed(client.socket);
    await settle();
    expect(service.closes()).toBe(0);
    link.release();
    await seen("the end", () => service.closes() === 1);
    expect(service.received()).toBe("last words");
  });
});

describe("a link released for those that live", () => {
  it("delivers what it held of a worker that lives, and nothing of one that has gone", async () => {
    const service = await startService();
    const link = await startLink(service.port);
    const [living, dead] = [await connectTo(link.port), await connectTo(link.port)];
    living.socket.write("a;");
    dead.socket.write("b;");
    await seen("what came before", () => service.received().length === 4);
    link.stall("toService");
    living.socket.write("living");
    dead.socket.write("dead");
    await settle();
    dead.socket.destroy();
    await settle();
    link.releaseLiving();
    await seen("what the living one sent", () => service.received().endsWith("living"));
    await seen("the dead one's connection closed", () => service.closes() === 1);
    expect(service.received()).not.toContain("dead");
    expect(link.connections()).toBe(1);
  });
});

describe("a severed link", () => {
  it("never delivers what it held, not even from a sender that is gone, and accepts new connections", async () => {
    const service = await startService();
    const link = await startLink(service.port);
    const client = await connectTo(link.port);
    client.socket.write("before;");
    await seen("what came before", () => service.received() === "before;");
    link.stall("toService");
    client.socket.write(Buffer.alloc(4 << 20, "x"));
    await settle();
    // The sender dies with bytes in its kernel's buffers, which now belong to no process.
    client.socket.destroy();
    link.sever();
    await seen("the service's side closed", () => service.closes() === 1);
    expect(service.received()).toBe("before;");
    expect(link.bytes().toService).toBe(7);
    const next = await connectTo(link.port);
    next.socket.write("after");
    await seen("what comes after", () => service.received() === "before;after");
  });
});

it("refuses to open on a port in use, with the system's own code", async () => {
  const service = await startService();
  const target = () => ({ host: "127.0.0.1", port: service.port });
  await expect(openLink({ port: service.port, target })).rejects.toMatchObject({ code: "EADDRINUSE" });
});
