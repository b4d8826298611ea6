import { describe, expect, it } from "vitest";
import { CannotRun } from "../cannot-run.ts";
import { chooseKind, openStack } from "./choose.ts";

const all = {
  KAFKA_BROKERS: "127.0.0.1:9092",
  DATABASE_URL: "postgres://me:hunter2@db",
  REDIS_URL: "redis://:hunter2@cache",
};
const noDocker = async () => ({ usable: false, why: "no Docker engine answers" });

describe("auto", () => {
  it("takes the external services when all three variables are set, and shows none of their values", async () => {
    const { kind, why } = await chooseKind("auto", all, noDocker);
    expect(kind).toBe("external");
    expect(why).not.toContain("hunter2");
  });

  it("takes containers before native ones, where they can be had", async () => {
    const docker = async () => ({ usable: true, why: "Docker 27.1 answers and has the images" });
    const { kind, why } = await chooseKind("auto", {}, docker);
    expect(kind).toBe("containers");
    expect(why).toBe("container stack: Docker 27.1 answers and has the images");
  });

  it("falls back to native servers and says why in one line, also that a variable is missing", async () => {
    const { kind, why } = await chooseKind("auto", { ...all, REDIS_URL: " " }, noDocker);
    expect(kind).toBe("native");
    expect(why).toContain("no Docker engine answers");
    expect(why).toContain("REDIS_URL");
    expect(why).not.toContain("\n");
  });
});

const refusal = async (promise: Promise<unknown>): Promise<CannotRun> => {
  const error = await promise.catch((caught: unknown) => caught);
  if (!(error instanceof CannotRun)) throw new Error(`expected CannotRun, got ${String(error)}`);
  return error;
};

describe("what cannot be", () => {
  it("an external stack with a variable missing: names the variable", async () => {
    const { message } = await refusal(openStack({ kind: "external", env: { ...all, DATABASE_URL: "" } }));
    expect(message).toContain("DATABASE_URL");
    expect(message).not.toContain("REDIS_URL");
  });

  it("an external stack with brokers that are none", async () => {
    const { message } = await refusal(
      openStack({ kind: "external", env: { ...all, KAFKA_BROKERS: "kafka" } }),
    );
    expect(message).toContain("KAFKA_BROKERS");
  });

  it("a native stack without Java: one error with all three ways out", async () => {
    const { message, remedies } = await refusal(openStack({ kind: "native", env: { PATH: "" } }));
    expect(message).toContain("Java");
    expect(remedies.join("\n")).toMatch(
      /Java 17.*Maven[\s\S]*Docker[\s\S]*KAFKA_BROKERS, DATABASE_URL and REDIS_URL/,
    );
  });
});
