/**
 * Reads a Kafka connection in one direction as it passes, in whatever pieces: a reader asks for the next bytes of a
 * frame, or for some to be passed over, and is resumed when they have come. No frame is put together.
 */

/** A number above zero is so many bytes to be had, one below so many to be passed over. */
type Reader<T = void> = Generator<number, T, Buffer>;

const lengthBytes = 4;
const nothing = Buffer.alloc(0);

/**
 * @param read a frame, its length left away; what it does not ask for is passed over
 * @returns takes the next bytes; throws what `read` throws, and a RangeError when it asks for more than the frame has
 */
export function readFrames(read: () => Reader): (chunk: Buffer) => void {
  const reader = readAll(read);
  let ask = reader.next().value as number;
  let gathered: Buffer | undefined;
  let missing = 0;
  const goOn = (bytes: Buffer): void => {
    ask = reader.next(bytes).value as number;
  };
  return (chunk) => {
    let at = 0;
    for (;;) {
      const left = chunk.length - at;
      if (ask <= 0) {
        const over = Math.min(-ask, left);
        at += over;
        ask += over;
        if (ask < 0) return;
        goOn(nothing);
      } else if (gathered === undefined && left >= ask) {
        at += ask;
        goOn(chunk.subarray(at - ask, at));
      } else {
        if (left === 0) return;
        if (gathered === undefined) {
          gathered = Buffer.allocUnsafe(ask);
          missing = ask;
        }
        const some = Math.min(missing, left);
        chunk.copy(gathered, ask - missing, at, at + some);
        at += some;
        missing -= some;
        if (missing > 0) return;
        const whole = gathered;
        gathered = undefined;
        goOn(whole);
      }
    }
  };
}

function* readAll(read: () => Reader): Reader<never> {
  for (;;) {
    let left = (yield lengthBytes).readInt32BE(0);
    const reader = read();
    for (let step = reader.next(); step.done !== true; ) {
      left -= Math.abs(step.value);
      if (left < 0) throw new RangeError("a frame is shorter than what it holds");
      step = reader.next(yield step.value);
    }
    if (left > 0) yield -left;
  }
}

export function* skip(length: number): Reader {
  if (length > 0) yield -length;
}

export function* int16(): Reader<number> {
  return (yield 2).readInt16BE(0);
}

export function* int32(): Reader<number> {
  return (yield 4).readInt32BE(0);
}

/** Unsigned, of seven bits a byte, the lowest first. */
function* varint(): Reader<number> {
  let value = 0;
  for (let shift = 0; shift <= 28; shift += 7) {
    const byte = (yield 1)[0] ?? 0;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return value;
  }
  throw new RangeError("a number of more than five bytes");
}

/** Lengths and counts in one of the protocol's two forms; -1 stands for null. */
export interface Form {
  stringLength(): Reader<number>;
  /** Of an array, or of bytes. */
  count(): Reader<number>;
  /** Fields that a structure can have at its end, and that a reader need not know. */
  tags(): Reader;
}

export const fixedForm: Form = {
  stringLength: int16,
  count: int32,
  *tags() {},
};

/** Of later versions of each message. */
export const flexibleForm: Form = {
  *stringLength() {
    return (yield* varint()) - 1;
  },
  *count() {
    return (yield* varint()) - 1;
  },
  *tags() {
    for (let left = yield* varint(); left > 0; left -= 1) {
      yield* varint();
      yield* skip(yield* varint());
    }
  },
};

export function* string(form: Form): Reader<string | null> {
  const length = yield* form.stringLength();
  if (length < 0) return null;
  return length === 0 ? "" : (yield length).toString();
}

export type { Reader };
