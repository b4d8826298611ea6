/**
 * Ids as BullMQ takes them. It refuses whole numbers and colons, makes up an id where it is given an empty one, and
 * keeps a job under its id beside the queue's own keys ("wait", "meta"). What is none of these stays as it is.
 */
import { QueueKeys } from "bullmq";

/** The empty one among them. */
const ownKeys = new Set(Object.keys(new QueueKeys().getKeys("")));
/** What an id that was changed begins with. */
const mark = '~"';

/** Different for different ids, and the same for the same. */
export function storedId(id: string): string {
  const isWholeNumber = `${Number.parseInt(id, 10)}` === id;
  if (!isWholeNumber && !id.includes(":") && !ownKeys.has(id) && !id.startsWith(mark) && id.isWellFormed())
    return id;
  return `~${JSON.stringify(id).replaceAll(":", "\\u003a")}`;
}

/** The id that `storedId` was given. */
export const givenId = (stored: string): string =>
  stored.startsWith(mark) ? JSON.parse(stored.slice(1)) : stored;
