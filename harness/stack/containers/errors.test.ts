import { describe, expect, it } from "vitest";
import { CannotRun } from "../../cannot-run.ts";
import { NotMet } from "../readiness.ts";
import { explained, reasonOf } from "./errors.ts";
import { progressLine } from "./pull.ts";

const explain = (error: unknown): CannotRun => {
  const known = explained(error);
  if (!(known instanceof CannotRun)) throw new Error(`expected CannotRun, got ${String(known)}`);
  return known;
};
/** As dockerode throws them. */
const fromEngine = (text: string) =>
  Object.assign(new Error(`(HTTP code 500) server error - ${text} `), { statusCode: 500 });

describe("an error of the engine names cause and remedy", () => {
  it("a full disk, from the engine or from a server's log", () => {
    const engine = explain(fromEngine("mkdir /var/lib/docker/overlay2/ab-init: no space left on device"));
    const server = explain(
      new NotMet("waited 2.0 s for PostgreSQL: it ended by itself (exit code 1)", [
        "  | initdb: error: could not write file: No space left on device",
      ]),
    );
    for (const { message, remedies } of [engine, server]) {
      expect(message).toContain("disk is full");
      expect(remedies.join()).toContain("docker system prune");
    }
  });

  it("a port that was taken on every try", () => {
    const { message, remedies } = explain(
      fromEngine(
        "driver failed programming external connectivity on endpoint x (y): Bind for 127.0.0.1:20001 failed: port is already allocated",
      ),
    );
    expect(message).toContain("127.0.0.1:20001");
    expect(remedies.join()).toContain("ss -ltnp");
  });

  it("an engine that went away", () => {
    const { message, remedies } = explain(new Error("connect ECONNREFUSED /var/run/docker.sock"));
    expect(message).toContain("stopped answering");
    expect(remedies.join()).toContain("start Docker");
  });

  it("a service that did not come up: what was awaited, and the end of its log", () => {
    const { message, remedies } = explain(new NotMet("waited 90.0 s for Kafka", ["  | boom"]));
    expect(message).toBe("waited 90.0 s for Kafka");
    expect(remedies).toContain("  | boom");
  });

  it("anything else it refuses, in its own words without the wrapping", () => {
    expect(explain(fromEngine("toomanyrequests: rate limit")).message).toBe(
      "the Docker engine refused: toomanyrequests: rate limit",
    );
    expect(reasonOf(fromEngine("x - y"))).toBe("x - y");
  });

  it("and what is no error of the engine stays what it is", () => {
    const bug = new TypeError("undefined is not a function");
    expect(explained(bug)).toBe(bug);
  });
});

it("progress of a pull is megabytes over all layers known so far", () => {
  const layers = [
    { current: 2 ** 20, total: 3 * 2 ** 20 },
    { current: 2 ** 20, total: 2 ** 20 },
  ];
  expect(progressLine("redis:7", layers)).toBe("redis:7: 2 of 4 MB");
});
