import { describe, expect, it } from "vitest";
import { CannotRun } from "../cannot-run.ts";
import { serviceUrl } from "./service-url.ts";

describe("serviceUrl", () => {
  it("keeps credentials, database and options when the address becomes the proxy's", () => {
    const given = serviceUrl("DATABASE_URL", "postgresql://me:p%40ss%2Fw@db.example/app?application_name=x");
    expect(given.address).toBe("db.example:5432");
    expect(given.through("127.0.0.1:20001")).toBe(
      "postgresql://me:p%40ss%2Fw@127.0.0.1:20001/app?application_name=x",
    );
    expect(serviceUrl("REDIS_URL", "redis://:secret@[::1]:7000/2").through("127.0.0.1:20001")).toBe(
      "redis://:secret@127.0.0.1:20001/2",
    );
  });

  it("gives an IPv6 host without brackets to the socket", () => {
    expect(serviceUrl("REDIS_URL", "redis://[::1]:7000").target).toEqual({ host: "::1", port: 7000 });
  });

  it("knows the password as written and as meant", () => {
    expect(serviceUrl("DATABASE_URL", "postgres://me:p%40ss@db").secrets).toEqual(["p%40ss", "p@ss"]);
    expect(serviceUrl("REDIS_URL", "redis://127.0.0.1").secrets).toEqual([]);
  });

  it.each([
    "postgres://me:hunter2@",
    "postgres://me:hunter2@db:port",
    "mysql://me:hunter2@db",
    "me:hunter2@db",
  ])("refuses %s and does not repeat it", (text) => {
    const refusal = (() => {
      try {
        serviceUrl("DATABASE_URL", text);
      } catch (error) {
        return error;
      }
    })();
    expect(refusal).toBeInstanceOf(CannotRun);
    const { message, remedies } = refusal as CannotRun;
    expect(message).toContain("DATABASE_URL");
    expect([message, ...remedies].join()).not.toContain("hunter2");
  });

  it.each(["rediss://cache.example", "redis://cache.example?ssl=true"])(
    "says why %s is not proxied: TLS",
    (url) => {
      expect(serviceUrl("REDIS_URL", url).direct).toContain("TLS");
    },
  );

  it("says why a database with TLS, or with its host elsewhere in the URL, is not proxied", () => {
    expect(serviceUrl("DATABASE_URL", "postgres://db/app?sslmode=verify-full").direct).toContain("TLS");
    expect(serviceUrl("DATABASE_URL", "postgres://db/app?host=/run/postgresql").direct).toContain("query");
    expect(serviceUrl("DATABASE_URL", "postgres://db/app?sslmode=disable").direct).toBeUndefined();
  });
});
