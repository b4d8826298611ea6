/**
 * Mistake: the wait is a timer of the process, and the message is acknowledged as soon as the timer runs.
 *
 * Why people make it: `setTimeout` is exact and free, and the process has not died in months.
 *
 * What it costs: a deploy is a death too. All that waited is gone with the process: committed in Kafka, in no table,
 * in no queue, and in no log.
 *
 * Fails `durable`.
 */
import { parts, work } from "../solution.ts";

await work({
  ...parts,
  putOff: (add) => async (jobs) => {
    for (const job of jobs) {
      const due = { ...job, state: { ...job.state, notBefore: 0 } };
      const addNow = (): unknown => add([due]).catch(() => setTimeout(addNow, 200));
      setTimeout(addNow, job.state.notBefore - Date.now());
    }
  },
});
