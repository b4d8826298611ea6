import { createServer } from "node:net";
import fc from "fast-check";
import pg from "pg";
import { describe, expect, test } from "vitest";
import { openPostgres } from "./open.ts";
import { isTransient, sqlState } from "./transient.ts";

function databaseError(code: string): Error {
  return Object.assign(new pg.DatabaseError("refused by the server", 0, "error"), {
    code,
    severity: "ERROR",
  });
}

describe("isTransient", () => {
  test.each([
    ["08006", "connection failure"],
    ["53300", "too many connections"],
    ["53100", "disk full"],
    ["57P01", "admin shutdown"],
    ["57P03", "cannot connect now: starting up"],
    ["57014", "statement timeout"],
    ["40001", "serialization failure"],
    ["40P01", "deadlock"],
    ["55P03", "lock not available"],
    ["25006", "read only after a failover"],
    ["42P01", "the table is not there: nothing is wrong with the row"],
    ["42501", "no right to write: nothing is wrong with the row"],
  ])("%s (%s) is worth another try", (code) => {
    expect(isTransient(databaseError(code))).toBe(true);
  });

  test.each([
    ["22P02", "text that is no number"],
    ["22P05", "a character that text cannot hold"],
    ["22021", "not UTF-8"],
    ["22003", "number out of range"],
    ["22008", "no such date"],
    ["23502", "not null violation"],
    ["23505", "unique violation"],
    ["54001", "nested too deep"],
    ["54000", "too large"],
    ["P0001", "refused by a trigger"],
  ])("%s (%s) fails again however often it is tried", (code) => {
    expect(isTransient(databaseError(code))).toBe(false);
  });

  test.each(["ECONNRESET", "ECONNREFUSED", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "ENOTFOUND", "EAI_AGAIN"])(
    "a socket's %s is worth another try",
    (code) => {
      expect(isTransient(Object.assign(new Error(`connect ${code}`), { code }))).toBe(true);
    },
  );

  test("a bug in the program is not", () => {
    expect(isTransient(new TypeError("undefined is not a function"))).toBe(false);
    expect(isTransient(new RangeError("Invalid array length"))).toBe(false);
  });

  test("no error of a socket is taken for one of the server, and any value has an answer", () => {
    fc.assert(
      fc.property(fc.anything(), (error) => {
        expect(typeof isTransient(error)).toBe("boolean");
      }),
    );
    expect(sqlState(Object.assign(new Error("write EPIPE"), { code: "EPIPE" }))).toBeUndefined();
  });
});

describe("a database that cannot be reached", () => {
  test("refused: a transient error", async () => {
    const db = openPostgres("postgres://nobody@127.0.0.1:1/none");
    const error = await db.query("SELECT 1").catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Error);
    expect(isTransient(error)).toBe(true);
    await db.end();
  });

  test("silent: given up after the connect timeout with a transient error, not a hang", async () => {
    const sockets: { destroy(): void }[] = [];
    const server = createServer((socket) => sockets.push(socket));
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const { port } = server.address() as { port: number };
    const db = openPostgres(`postgres://nobody@127.0.0.1:${port}/none`, { connectTimeoutMs: 100 });
    const started = performance.now();
    const error = await db.query("SELECT 1").catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Error);
    expect(isTransient(error)).toBe(true);
    expect(performance.now() - started).toBeLessThan(2_000);
    await db.end();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
});
