/**
 * Bounds a worker's log. The worker writes the file itself, at no cost to it or to the harness; now and then the middle
 * of one that has grown too long is cut out of it.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";

/** Of a log that was cut, so much of its beginning and of its end stays. */
const headBytes = 1_000_000;
const tailBytes = 1_000_000;
/** It is cut when it is longer; between two looks it can grow beyond. */
const mostBytes = 8_000_000;
const everyMs = 100;

export interface BoundedLog {
  /** Cuts once more, and looks no more at it. */
  end(): void;
}

/** @param file whoever writes it appends (`O_APPEND`) */
export function boundLog(file: string): BoundedLog {
  let before: Cut | undefined;
  const look = (): void => {
    try {
      before = cutMiddle(file, before);
    } catch {
      // A log that cannot be read or written: the worker will not get far either.
    }
  };
  const timer = setInterval(look, everyMs).unref();
  return {
    end() {
      clearInterval(timer);
      look();
    },
  };
}

/** What was done to a log so far. */
interface Cut {
  readonly leftOutBytes: number;
  /** Of the beginning, and of the line after it that tells of the cut. */
  readonly headBytes: number;
  readonly noticeBytes: number;
}

function cutMiddle(file: string, before: Cut | undefined): Cut | undefined {
  const log = openSync(file, "r+");
  try {
    const { size } = fstatSync(log);
    if (size <= mostBytes) return before;
    const head = before?.headBytes ?? wholeLines(read(log, 0, headBytes)).length;
    const tail = fromLineBegin(read(log, size - tailBytes, tailBytes));
    const leftOutBytes = (before?.leftOutBytes ?? 0) + size - head - (before?.noticeBytes ?? 0) - tail.length;
    const notice = Buffer.from(`[the harness left out ${leftOutBytes} bytes here]\n`);
    writeSync(log, notice, 0, notice.length, head);
    writeSync(log, tail, 0, tail.length, head + notice.length);
    // What came since `size` was read goes too: a matter of a millisecond.
    ftruncateSync(log, head + notice.length + tail.length);
    return { leftOutBytes, headBytes: head, noticeBytes: notice.length };
  } finally {
    closeSync(log);
  }
}

function read(log: number, from: number, length: number): Buffer {
  const buffer = Buffer.alloc(length);
  return buffer.subarray(0, readSync(log, buffer, 0, length, from));
}

const newline = "\n".charCodeAt(0);

/** Up to its last line break; all of it where there is none. */
function wholeLines(text: Buffer): Buffer {
  const end = text.lastIndexOf(newline);
  return end === -1 ? text : text.subarray(0, end + 1);
}

/** From behind its first line break; all of it where nothing but one line's end is there. */
function fromLineBegin(text: Buffer): Buffer {
  const from = text.indexOf(newline) + 1;
  return from === text.length ? text : text.subarray(from);
}
