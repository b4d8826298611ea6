import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { malformations, planMessages } from "../../harness/load/messages.ts";
import { problemOfParsed } from "./payment.ts";
import { isPlainPayment } from "./payment-scan.ts";

const payment = {
  eventId: "3f2b8c1e-9a4d-4f6b-8e21-0c5d7a9b1e34",
  accountId: "acct-0001",
  amountCents: 4_000_000_000_000,
  occurredAt: "2026-01-05T08:00:00.123Z",
  sequence: 0,
  padding: 'it\'s "quoted" \\ with\ttabs,\nnewlines and 😀',
};
const text = JSON.stringify(payment);

/** Whatever the scan lets pass, parsing lets pass: it may be in doubt, and never wrong. */
const agrees = (bytes: Buffer) => !isPlainPayment(bytes) || problemOfParsed(bytes) === undefined;

describe("the scan", () => {
  test("is content with every well-formed message of a load, and with none that is malformed", () => {
    const load = {
      phases: [{ name: "any", forMs: 4_000, perSecond: 1_000 }],
      accounts: 50,
      paddingLength: 60,
      malformedOneIn: 3,
    };
    const plan = planMessages(5, load, 4);
    const seen = new Set<string>();
    for (let i = 0; i < plan.length; i++) {
      const { malformation } = plan.at(i);
      const value = plan.value(i) ?? Buffer.alloc(0);
      expect(isPlainPayment(value)).toBe(malformation === undefined);
      expect(problemOfParsed(value) === undefined).toBe(malformation === undefined);
      seen.add(malformation ?? "none");
    }
    expect(seen.size).toBe(malformations.length + 1);
  });

  test("lets nothing pass that parsing would refuse, whichever bytes of a payment are changed", () => {
    const interesting = [...'\0\t"\\{}[]:,0159abcduTZ-+.e /', "\x7f", "\x80", "\xc3", "\xff"].map((one) =>
      one.charCodeAt(0),
    );
    const change = fc.record({
      at: fc.nat(text.length + 8),
      byte: fc.oneof(fc.constantFrom(...interesting), fc.nat(255)),
      how: fc.constantFrom("replace", "insert", "remove"),
    });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        const bytes = [...Buffer.from(text)];
        for (const { at, byte, how } of changes) {
          bytes.splice(at, how === "insert" ? 0 : 1, ...(how === "remove" ? [] : [byte]));
        }
        return agrees(Buffer.from(bytes));
      }),
      { numRuns: 20_000 },
    );
  });

  test("lets nothing pass that parsing would refuse, whichever value a field has", () => {
    const field = fc.constantFrom(...(Object.keys(payment) as (keyof typeof payment)[]));
    const anyTime = fc
      .array(fc.nat(99), { minLength: 7, maxLength: 7 })
      .map(
        ([c = 0, y = 0, m = 0, d = 0, h = 0, i = 0, s = 0]) =>
          `${two(c)}${two(y)}-${two(m % 14)}-${two(d % 33)}T${two(h % 26)}:${two(i % 62)}:${two(s % 62)}.000Z`,
      );
    const value = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.double(),
      fc.integer(),
      fc.maxSafeInteger(),
      anyTime,
      fc.jsonValue(),
    );
    fc.assert(
      fc.property(field, value, (name, content) =>
        agrees(Buffer.from(JSON.stringify({ ...payment, [name]: content }))),
      ),
      { numRuns: 5_000 },
    );
    fc.assert(
      fc.property(anyTime, (occurredAt) => agrees(Buffer.from(JSON.stringify({ ...payment, occurredAt })))),
      {
        numRuns: 5_000,
      },
    );
  });

  test("is in doubt about what few producers write, and leaves it to parsing", () => {
    const unusual = [
      JSON.stringify(payment, undefined, 1),
      JSON.stringify(Object.fromEntries(Object.entries(payment).reverse())),
      JSON.stringify({ ...payment, occurredAt: "2026-01-31T08:00:00.123Z" }),
      JSON.stringify({ ...payment, padding: "\u0001" }),
      JSON.stringify({ ...payment, note: "new" }),
    ];
    for (const one of unusual) {
      expect(isPlainPayment(Buffer.from(one))).toBe(false);
      expect(problemOfParsed(Buffer.from(one))).toBeUndefined();
    }
  });
});

function two(value: number): string {
  return String(value).padStart(2, "0");
}
