import fc from "fast-check";
import { expect, test } from "vitest";
import { planMessages, type SentMessage } from "../load/messages.ts";
import { testLab } from "../verdict/testing.ts";
import { decodeTable, encodeTable, type Messages, type Row } from "./tables.ts";

const plan = planMessages(5, testLab.profiles.quick.load, testLab.partitions);
const messages: Messages = {
  length: 400,
  at: (index): SentMessage => ({
    ...plan.at(index),
    topic: "t",
    offset: index,
    event: plan.event(index),
    value: () => plan.value(index),
  }),
  eventId: plan.eventId,
  atOrigin: (partition, offset) =>
    offset < 400 && plan.at(offset).partition === partition ? offset : undefined,
};

const text = fc.option(fc.string({ maxLength: 12 }), { nil: null });
const time = fc.option(fc.double({ min: 0, max: 1e6, noNaN: true }), { nil: null });

for (const table of testLab.tables) {
  const home = Array.from({ length: messages.length }, (_, i) => i).filter((i) =>
    table.belongs(messages.at(i)),
  );
  const asSent = fc.constantFrom(...home).map((i) => [...table.expected(messages.at(i))]);
  const changed = fc
    .tuple(asSent, fc.nat(table.columns.length - 1), text)
    .map(([values, at, value]) => values.map((old, i) => (i === at ? value : old)));
  const anything = fc.array(text, { minLength: table.columns.length, maxLength: table.columns.length });
  const rows = fc.array(fc.record({ values: fc.oneof(asSent, changed, anything), committedMs: time }), {
    maxLength: 30,
  });

  test(`rows of "${table.name}" come back from the record as they were, whatever the worker wrote`, () => {
    fc.assert(
      fc.property(rows, (written: Row[]) => {
        const record = JSON.parse(JSON.stringify(encodeTable(table, written, messages)));
        const read = decodeTable(record, table, messages).map(({ values, committedMs }) => ({
          values: [...values],
          committedMs,
        }));
        expect(sorted(read)).toEqual(sorted(written));
      }),
    );
  });

  test(`a row of "${table.name}" is marked as sent only when every column is as the message says`, () => {
    fc.assert(
      fc.property(rows, (written: Row[]) => {
        for (const row of decodeTable(encodeTable(table, written, messages), table, messages)) {
          const same =
            row.message >= 0 &&
            JSON.stringify(row.values) === JSON.stringify(table.expected(messages.at(row.message)));
          expect(row.asSent).toBe(same);
        }
      }),
    );
  });
}

const sorted = (rows: readonly Row[]) =>
  rows.map((row) => JSON.stringify([row.values, row.committedMs])).sort();
