import { describe, expect, it } from "vitest";
import { logLines } from "./watched.ts";

const frame = (text: string, stream = 1): Buffer => {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
};

describe("a container's log", () => {
  it("is read across frames of both streams, without the frames' headers", () => {
    const framed = Buffer.concat([frame("one\ntw"), frame("o\n", 2), frame("\nthree\n")]);
    expect(logLines(framed)).toEqual(["one", "two", "three"]);
  });

  it("that ends in the middle of a frame, or is none, gives what is there", () => {
    expect(logLines(frame("whole\n").subarray(0, 11))).toEqual(["who"]);
    expect(logLines(Buffer.from(""))).toEqual([]);
  });
});
