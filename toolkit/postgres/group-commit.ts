/**
 * Group commit: what comes while a write is under way goes together into the next one.
 *
 * Callers that each store one item at a moment that they did not choose share statements, and the wait for the disk,
 * without a timer: a single item is written at once, and forty that came together take two writes and one connection.
 */
interface Waiting<Item> {
  readonly item: Item;
  resolve(): void;
  reject(error: unknown): void;
}

/**
 * @param write all or nothing; safe to repeat
 * @returns stores one item; rejects with what `write` threw for that item alone: a group that fails is written again
 * one by one, so that an item which cannot be stored does not fail those that came beside it
 */
export function groupCommit<Item>(
  write: (items: readonly Item[]) => Promise<void>,
): (item: Item) => Promise<void> {
  let waiting: Waiting<Item>[] = [];
  let isWriting = false;

  async function store(group: readonly Waiting<Item>[]): Promise<void> {
    try {
      await write(group.map(({ item }) => item));
      for (const { resolve } of group) resolve();
    } catch (error) {
      const [first] = group;
      if (group.length === 1) first?.reject(error);
      else for (const one of group) await store([one]);
    }
  }

  async function storeAll(): Promise<void> {
    isWriting = true;
    while (waiting.length > 0) {
      const group = waiting;
      waiting = [];
      await store(group);
    }
    isWriting = false;
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      if (!isWriting) void storeAll();
    });
}
