/** How workers ended when they were told to. Beside the verdicts: no lab's promise is about it, and the contract is. */
import type { AnyRecord } from "../record/record.ts";

/** For each worker that did not answer SIGTERM with exit code 0 within the contract's 10 s, in words. */
export function badEndings(record: AnyRecord): string[] {
  const arms = "arms" in record ? (record.arms ?? []) : [];
  return [{ where: "", workers: record.workers }, ...arms.map(armOf)].flatMap(({ where, workers }) =>
    workers.flatMap(({ id, exit }) => {
      if (exit?.told !== true || exit.code === 0) return [];
      const how = exit.code === null ? `by ${exit.signal ?? "a signal"}` : `with exit code ${exit.code}`;
      return [
        `worker ${id}${where} was told to end by SIGTERM and ended ${how}; the contract asks for exit code 0 within 10 s`,
      ];
    }),
  );
}

const armOf = ({ name, record }: { name: string; record: Pick<AnyRecord, "workers"> }) => ({
  where: ` of the run "${name}"`,
  workers: record.workers,
});
