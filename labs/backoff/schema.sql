-- What the harness creates for a run. There is no key and no constraint here on purpose: a guarantee
-- that the schema gave would prove nothing about the worker. Keys are the worker's own to add at its start.

-- The effect: a payment that the gateway has accepted.
CREATE TABLE payments (
  event_id     uuid   NOT NULL,
  account_id   text   NOT NULL,
  amount_cents bigint NOT NULL
);

-- An event that ended otherwise: refused for good, or failed as often as the policy allows.
CREATE TABLE dead_letters (
  event_id    text        NOT NULL,
  value       bytea       NOT NULL,  -- the message, byte by byte
  error_class text        NOT NULL,  -- of the last attempt
  message     text        NOT NULL,
  attempts    jsonb       NOT NULL,  -- [{"attempt": 1, "at": ISO 8601, "tookMs": 3, "errorClass": "timeout", ...}, ...]
  died_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
