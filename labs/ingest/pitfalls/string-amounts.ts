/**
 * Mistake: the amount becomes a decimal string and a floating-point number on its way, and an integer again at the
 * end.
 *
 * Why people make it: money is shown as "4.35", so it is carried as "4.35", and Number() is close at hand.
 *
 * What it costs: 4.35 has no exact binary form; 4.35 * 100 is 434.99999999999994, and without its fraction it is one
 * cent less. Some amounts are wrong, most are right, no row is missing, and no error is raised.
 *
 * Fails `payload-intact`.
 */
import { ingest, parts } from "../solution.ts";

await ingest({
  ...parts,
  check(message) {
    const payment = parts.check(message);
    if (payment.failure !== undefined) return payment;
    return payment.map((value) => {
      const event = JSON.parse(value.toString());
      const amount = (event.amountCents / 100).toFixed(2);
      return Buffer.from(JSON.stringify({ ...event, amountCents: Math.trunc(Number(amount) * 100) }));
    });
  },
});
