/** The engine's errors, in words that name the cause and the remedy. */
import { CannotRun } from "../../cannot-run.ts";
import { isPortInUse } from "../free-ports.ts";
import { messageOf, NotMet } from "../readiness.ts";

/** What dockerode wraps the engine's words in is of no use to anybody. */
export const reasonOf = (error: unknown): string =>
  messageOf(error)
    .replace(/^\(HTTP code \d+\) [^-]*- /, "")
    .trim();

/** The error for a disk that is full where the engine keeps its data; undefined when that is not the reason. */
export function diskFullOnEngine(cause: unknown): CannotRun | undefined {
  const text = cause instanceof Error ? cause.message : String(cause);
  if (!/ENOSPC|EDQUOT|no space left on device|disk quota exceeded/i.test(text)) return undefined;
  return new CannotRun("the Docker engine's disk is full: no space left on device", [
    "free some space on it: docker system df shows what takes it, docker system prune removes what nothing uses",
    "with Docker Desktop its disk can also be made larger (Settings, Resources)",
  ]);
}

/** Whatever the container stack failed of, as what people should read. */
export function explained(error: unknown): unknown {
  if (error instanceof CannotRun) return error;
  const full = diskFullOnEngine(error);
  if (full !== undefined) return full;
  if (error instanceof NotMet) {
    return new CannotRun(error.summary, ["the end of its log:", ...error.logTail]);
  }
  const reason = reasonOf(error);
  if (isPortInUse(reason)) {
    return new CannotRun(`a port was taken on every try: ${reason}`, [
      "run again: ports are drawn at random from 20000 to 31999",
      "or see what holds them: ss -ltnp",
    ]);
  }
  if (isUnreachable(error)) {
    return new CannotRun(`the Docker engine stopped answering: ${reason}`, [
      "start Docker again, then repeat the run; what it left is removed by the next start",
    ]);
  }
  return isFromEngine(error)
    ? new CannotRun(`the Docker engine refused: ${reason}`, [
        "or use --stack native (needs Java 17 or newer and Maven)",
      ])
    : error;
}

/** The engine itself is gone, or its socket. */
export const isUnreachable = (error: unknown): boolean =>
  /ECONNREFUSED|ECONNRESET|ENOENT|EPIPE|socket hang up/.test(messageOf(error));

const isFromEngine = (error: unknown): boolean =>
  typeof (error as { readonly statusCode?: unknown } | undefined)?.statusCode === "number";
