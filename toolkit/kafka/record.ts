import type { IHeaders, KafkaMessage } from "kafkajs";

/** A record as Kafka has it. Bytes are bytes: nothing is decoded, and an empty value is not the same as none. */
export interface KafkaRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: Buffer | null;
  /** A view into the fetched response, not a copy: it keeps the response alive as long as it is referred to. */
  readonly value: Buffer | null;
  readonly headers: KafkaHeaders;
  /** Milliseconds since 1970, as the producer or the broker set it (`message.timestamp.type` of the topic). */
  readonly timestamp: number;
}

/** Header values are bytes too; a header that occurs several times has several. */
export type KafkaHeaders = Readonly<IHeaders>;

/** A record that kafkajs has decoded. */
export function kafkaRecord(topic: string, partition: number, raw: KafkaMessage): KafkaRecord {
  return {
    topic,
    partition,
    offset: Number(raw.offset),
    key: raw.key,
    value: raw.value,
    headers: ownHeaders(raw.headers ?? noHeaders),
    timestamp: Number(raw.timestamp),
  };
}

/** For an earlier header of the same name kafkajs takes what every object has, such as "constructor". */
function ownHeaders(headers: IHeaders): KafkaHeaders {
  const doubtful = Object.keys(headers).filter((name) => name in Object.prototype);
  if (doubtful.length === 0) return headers;
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => {
      if (!doubtful.includes(name) || !Array.isArray(value)) return [name, value];
      const [, first, ...others] = value;
      return [name, others.length === 0 ? first : [first, ...others].filter((one) => one !== undefined)];
    }),
  );
}

export const noHeaders: KafkaHeaders = Object.freeze({});

/** What a record weighs in memory, roughly: its bytes, and the objects around them. */
export function recordBytes({ key, value, headers }: KafkaRecord): number {
  return 200 + (key?.length ?? 0) + (value?.length ?? 0) + headerBytes(headers);
}

function headerBytes(headers: KafkaHeaders): number {
  if (headers === noHeaders) return 0;
  let bytes = 0;
  for (const name of Object.keys(headers)) {
    for (const value of [headers[name]].flat()) bytes += 100 + name.length + (value?.length ?? 0);
  }
  return bytes;
}
