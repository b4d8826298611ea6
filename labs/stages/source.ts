/** The way to the harness: rounds, events, and the consumers' work. */
const url = process.env.STAGES_URL;

// When all rounds are played. There is nothing to finish: whoever waits for a round has handled the one before.
process.once("SIGTERM", () => process.exit(0));

export interface Round {
  readonly name: string;
  /** `demand`: each event to one consumer. `broadcast`: each to all. `partition`: equal keys to the same one, in order. */
  readonly dispatch: "demand" | "broadcast" | "partition";
  readonly consumers: number;
}

export interface Event {
  readonly number: number;
  readonly key: string;
}

/** The round to play. Never answered when all are played: wait for the end. */
export const nextRound = (): Promise<Round> => post("next");

/** Up to `count` events of the source; `over` when there are no more. */
export const askFor = (round: Round, count: number): Promise<{ events: Event[]; over: boolean }> =>
  post(`${round.name}/ask/${count}`);

/** The work of a consumer on events: resolves when it is done. */
export const handle = (round: Round, consumer: number, events: readonly Event[]): Promise<void> =>
  post(
    `${round.name}/handle/${consumer}`,
    events.map(({ number }) => number),
  );

/** What a consumer may hold, and when it asks for more. */
export const demandOf = () => ({
  maxDemand: Number(process.env.MAX_DEMAND),
  minDemand: Number(process.env.MIN_DEMAND),
});

async function post<Answer>(path: string, body?: unknown): Promise<Answer> {
  const response = await fetch(`${url}/${path}`, {
    method: "POST",
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as Answer;
}
