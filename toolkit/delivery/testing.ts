/** For tests on a real server: a database of its own for each test, and letters to begin with. */
import { afterAll, beforeAll, beforeEach } from "vitest";
// biome-ignore lint/style/noRestrictedImports: as above
import type { Stack } from "../../harness/stack/stack.ts";
// biome-ignore lint/style/noRestrictedImports: a test on a real server borrows the harness's stack; the toolkit does not
import { sharedStack } from "../../harness/testing.ts";
import type { KafkaRecord } from "../kafka/record.ts";
import { ensureSchema } from "../postgres/ensure-schema.ts";
import { type Database, openPostgres } from "../postgres/open.ts";
import { deadLetterSchema } from "./dead-letter-schema.ts";
import type { DeadLetter } from "./dead-letters.ts";
import type { Outgoing } from "./replay.ts";

export interface LetterPlace {
  readonly stack: Stack;
  readonly db: Database;
  readonly databaseUrl: string;
}

/** Declares the hooks of a file. The place is new for each test, and has the tables and their rules. */
export function placeOfTest(): () => LetterPlace {
  let stack: Stack | undefined;
  let admin: Database | undefined;
  let db: Database | undefined;
  let databaseUrl = "";
  let databases = 0;
  beforeAll(async () => {
    stack = await sharedStack();
    // A database is made and dropped behind a checkpoint, which on a busy machine takes its time.
    admin = openPostgres(stack.direct.databaseUrl, { statementTimeoutMs: 60_000 });
  });
  beforeEach(async () => {
    if (stack === undefined) throw new Error("the stack is opened before the first test");
    const name = `letters_${process.pid}_${++databases}`;
    await admin?.query(`CREATE DATABASE ${name}`);
    const url = new URL(stack.direct.databaseUrl);
    url.pathname = `/${name}`;
    databaseUrl = url.href;
    await db?.end();
    db = openPostgres(databaseUrl);
    await ensureSchema(db, deadLetterSchema);
  });
  afterAll(async () => {
    await db?.end();
    for (let i = 1; i <= databases; i += 1)
      await admin?.query(`DROP DATABASE letters_${process.pid}_${i} WITH (FORCE)`);
    await admin?.end();
  });
  return () => {
    if (stack === undefined || db === undefined) throw new Error("there is a place only within a test");
    return { stack, db, databaseUrl };
  };
}

export function letter(offset: number, value: Buffer | null, fields: Partial<DeadLetter> = {}): DeadLetter {
  const record: KafkaRecord = {
    topic: "payments",
    partition: 0,
    offset,
    key: Buffer.from([0xff, 0x00, offset & 0xff]),
    value,
    headers: { trace: Buffer.from([0xfe, 0x00]), twice: [Buffer.from("a"), Buffer.from("b")] },
    timestamp: 0,
  };
  const attempts = [{ attempt: 1, at: new Date().toISOString(), error: "no \0 good" }];
  return { record, class: "refused", message: "no \0 good", attempts, worker: "w1", ...fields };
}

/** The message as the worker gets it. */
export const received = ({ topic, key, value, headers }: Outgoing, offset = 1_000_000): KafkaRecord => ({
  topic,
  partition: 0,
  offset,
  key,
  value,
  headers,
  timestamp: 0,
});

/** What a letter must survive, byte for byte. */
export const payloads: readonly (readonly [name: string, value: Buffer | null])[] = [
  ["a script", Buffer.from("<script>window.pwned = true; alert(1)</script><img src=x onerror=alert(1)>")],
  ["1 MB", Buffer.alloc(1_000_000, Buffer.from([0xff, 0x00, 0x7b, 0x22, 0x3c]))],
  ["no UTF-8", Buffer.from([0xff, 0xfe, 0x80])],
  ["a NUL", Buffer.from('{"a":"\0"}')],
  ["zero bytes", Buffer.alloc(0)],
  ["no value", null],
];
