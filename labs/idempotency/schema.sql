-- What the harness creates for a run. There is no key and no constraint here on purpose: a guarantee that the schema
-- gave would prove nothing about the worker. Keys are the worker's own to add at its start, and a budget is kept by
-- the worker's statements, not by a CHECK.

-- Where budgets come from: 24 accounts, each of one of four kinds, the same in every run. The first is used up within
-- seconds, the second in the middle of a run; the third is for large payments, and the fourth is never reached.
CREATE TABLE accounts (
  account_id   text   NOT NULL,
  budget_cents bigint NOT NULL,
  spent_cents  bigint NOT NULL DEFAULT 0
);
INSERT INTO accounts (account_id, budget_cents)
SELECT 'acct-' || lpad(i::text, 4, '0'),
       (ARRAY[1000000, 10000000, 5000000000000, 9000000000000000])[1 + i % 4]
FROM generate_series(0, 23) AS i;

-- The effect: money spent. `accounts.spent_cents` is the sum of an account's rows here, at every moment.
CREATE TABLE ledger (
  event_id     uuid        NOT NULL,
  account_id   text        NOT NULL,
  amount_cents bigint      NOT NULL,
  booked_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- A payment for which the budget had no room any more. It is decided once, too.
CREATE TABLE declined (
  event_id     uuid        NOT NULL,
  account_id   text        NOT NULL,
  amount_cents bigint      NOT NULL,
  declined_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- An event id that was used again for another payload: where that message came from, and its bytes.
CREATE TABLE key_conflicts (
  topic     text        NOT NULL,
  partition integer     NOT NULL,
  "offset"  bigint      NOT NULL,
  event_id  uuid        NOT NULL,
  value     bytea       NOT NULL,
  found_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
