/** Judge of money: the books balance and no budget is exceeded, at every sample of the run. */
import type { Criterion } from "../lab.ts";
import { describe, isUnread, seconds } from "./delivery.ts";
import type { Evidence } from "./evidence.ts";
import type { Finding } from "./verdict.ts";

const shown = 5;
/** Fewer looks prove nothing about the moments between. */
const minSamples = 20;

export interface Balance {
  readonly budget: bigint;
  readonly spent: bigint;
  /** Sum of the account's rows in the ledger. */
  readonly booked: bigint;
}

export interface BalanceSample {
  readonly atMs: number;
  readonly accounts: ReadonlyMap<string, Balance>;
}

/** @param watch name of a watched query with account, budget, spent and the ledger's sum, in this order */
export function balances(evidence: Evidence, watch: string): BalanceSample[] {
  const watched = evidence.record.watches?.find(({ name }) => name === watch);
  return (watched?.samples ?? []).map(({ atMs, rows }) => ({
    atMs,
    accounts: new Map(
      rows.map(([account, budget, spent, booked]) => [
        account ?? "",
        { budget: BigInt(budget ?? 0), spent: BigInt(spent ?? 0), booked: BigInt(booked ?? 0) },
      ]),
    ),
  }));
}

/** The last sample before this moment. */
export function balancesAt(evidence: Evidence, watch: string, atMs: number): ReadonlyMap<string, Balance> {
  return balances(evidence, watch).findLast((sample) => sample.atMs < atMs)?.accounts ?? new Map();
}

/**
 * @param watch see `balances`
 * @param declinedTable events for which there was no room
 */
export function budgetRespected(watch: string, declinedTable: string): Criterion {
  return {
    id: "budget-respected",
    claim:
      "For each account, spent is the sum of its ledger and at most its budget, at every sample; what is over budget is declined once, and nothing else is.",
    judge(evidence): Finding {
      const samples = balances(evidence, watch);
      const wrong = samples.map((sample) => wrongAt(sample, samples[0])).filter((these) => these.length > 0);
      const declined = wronglyDeclined(evidence, watch, declinedTable);
      const measured = wrong.length + declined.length;
      const looked = samples.length * (samples[0]?.accounts.size ?? 0);
      const base = {
        measured,
        threshold: "= 0",
        unit: "samples off balance, or events wrongly declined",
        samples: looked,
      };
      if (measured > 0) {
        return {
          ...base,
          verdict: "fail",
          detail:
            `In ${wrong.length} of ${samples.length} samples an account was off balance or over its budget; ` +
            `${declined.length} events were declined twice or without need.`,
          offending: [...wrong.flat().slice(0, shown), ...declined.slice(0, shown)],
          expected: "spent = sum of the ledger <= budget in every snapshot",
          lookAt:
            "whether ledger and account change in one transaction, and whether the account is locked when the budget is read",
        };
      }
      const inDeclined = evidence.table(declinedTable).rows.length;
      if (samples.length < minSamples || inDeclined === 0) {
        return {
          ...base,
          verdict: "unknown",
          detail: `${samples.length} samples (at least ${minSamples} are needed) and ${inDeclined} declined events: no budget was put to the test.`,
        };
      }
      const used = [...(samples.at(-1)?.accounts.values() ?? [])].filter(
        ({ budget, spent }) => spent * 10n >= budget * 9n,
      );
      return {
        ...base,
        verdict: "pass",
        detail:
          `${samples.length} snapshots of ${samples[0]?.accounts.size ?? 0} accounts balanced; ${used.length} accounts used 90 % of ` +
          `their budget or more, and ${inDeclined} events were declined, each once and with reason.`,
      };
    },
  };
}

function wrongAt({ atMs, accounts }: BalanceSample, first: BalanceSample | undefined): string[] {
  return [...accounts].flatMap(([account, { budget, spent, booked }]) => {
    const at = `at ${seconds(atMs)} ${account}`;
    return [
      ...(spent === booked ? [] : [`${at} had spent ${spent}, and its ledger says ${booked}`]),
      ...(spent <= budget && booked <= budget
        ? []
        : [`${at} had spent ${spent > booked ? spent : booked} of a budget of ${budget}`]),
      ...(first?.accounts.get(account)?.budget === budget
        ? []
        : [`${at} had another budget than at the start: ${budget}`]),
    ];
  });
}

/** An event that would still fit into its budget at the end of the run fitted earlier too: spent only grows. */
function wronglyDeclined(evidence: Evidence, watch: string, declinedTable: string): string[] {
  const table = evidence.table(declinedTable);
  const final = balancesAt(evidence, watch, evidence.record.replay?.startMs ?? Number.POSITIVE_INFINITY);
  const wrong: string[] = [];
  for (const [i, count] of table.count.entries()) {
    if (count === 0 || isUnread(evidence, i)) continue;
    if (count > 1) wrong.push(`${describe(evidence, i)} was declined ${count} times`);
    const { accountId, event } = evidence.message(i);
    const balance = final.get(accountId);
    if (balance !== undefined && balance.spent + BigInt(event?.amountCents ?? 0) <= balance.budget) {
      wrong.push(
        `${describe(evidence, i)} was declined, though its ${event?.amountCents} cents fit: ${balance.spent} of ${balance.budget} were spent in the end`,
      );
    }
  }
  return wrong;
}
