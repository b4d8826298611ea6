import { expect, test } from "vitest";
import { until } from "../testing/until.ts";
import { createTelemetry } from "./telemetry.ts";

const dropped = { stage: "p", events: 3, kept: "last" } as const;

test("a channel is active only while somebody listens, also if it was taken before", () => {
  const telemetry = createTelemetry();
  const channel = telemetry.channel("stage.dropped");
  expect(channel.active).toBe(false);
  const seen: unknown[] = [];
  const off = telemetry.on("stage.dropped", (event) => seen.push(event));
  const offAgain = telemetry.on("stage.dropped", (event) => seen.push(event));
  expect(channel.active).toBe(true);
  channel.emit(dropped);
  off();
  channel.emit(dropped);
  offAgain();
  expect(channel.active).toBe(false);
  expect(seen).toEqual([dropped, dropped, dropped]);
});

test("events of other names, and of other telemetries, are not heard", () => {
  const telemetry = createTelemetry();
  const seen: unknown[] = [];
  telemetry.on("stage.dropped", (event) => seen.push(event));
  telemetry.channel("stage.subscribed").emit({ stage: "c", producer: "p" });
  createTelemetry().channel("stage.dropped").emit(dropped);
  expect(seen).toEqual([]);
});

test("a listener that throws is removed with a warning; the emitter and the others go on", async () => {
  const telemetry = createTelemetry();
  const warnings: string[] = [];
  const onWarning = (warning: Error) => warnings.push(warning.message);
  process.on("warning", onWarning);
  const seen: unknown[] = [];
  telemetry.on("stage.dropped", () => {
    throw new Error("no disk");
  });
  telemetry.on("stage.dropped", (event) => seen.push(event));
  const channel = telemetry.channel("stage.dropped");
  channel.emit(dropped);
  channel.emit(dropped);
  await until("the warning", () => warnings.length > 0);
  process.off("warning", onWarning);
  expect(seen.length).toBe(2);
  expect(warnings).toEqual(['a listener of "stage.dropped" threw and was removed: Error: no disk']);
});
