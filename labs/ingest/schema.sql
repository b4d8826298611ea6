-- What the harness creates for a run. There is no key and no constraint here on purpose: a guarantee
-- that the schema gave would prove nothing about the worker. Keys are the worker's own to add at its start.

CREATE TABLE payments (
  event_id     uuid        NOT NULL,
  account_id   text        NOT NULL,
  amount_cents bigint      NOT NULL,
  occurred_at  timestamptz NOT NULL,
  sequence     bigint      NOT NULL,
  padding      text        NOT NULL
);

-- A message that is no event: where it came from, its bytes as they were, and what is wrong with it.
CREATE TABLE rejected_messages (
  topic       text        NOT NULL,
  partition   integer     NOT NULL,
  "offset"    bigint      NOT NULL,
  key         bytea,
  value       bytea,              -- NULL when the message had no value
  reason      text        NOT NULL,
  rejected_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
