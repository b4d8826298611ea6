-- What the harness creates for a run. There is no key, no constraint and no rule here on purpose: a guarantee that the
-- schema gave would prove nothing about the worker. They are the worker's own to add at its start.

-- The effect of an event that the gateway accepted.
CREATE TABLE payments (
  event_id     uuid   NOT NULL,
  account_id   text   NOT NULL,
  amount_cents bigint NOT NULL,
  effect_key   text   NOT NULL   -- what makes an effect one effect, however often its message comes
);

-- A message that cannot succeed: where it came from, its bytes as they were, and all that is known of its failure.
CREATE TABLE dead_letters (
  id              bigint      GENERATED ALWAYS AS IDENTITY,
  topic           text        NOT NULL,
  partition       integer     NOT NULL,
  "offset"        bigint      NOT NULL,
  key             bytea,
  value           bytea,                               -- NULL when the message had none, and after a purge
  headers         jsonb       NOT NULL DEFAULT '[]',   -- [name, base64] in order; null for a header without a value
  class           text        NOT NULL,                -- malformed, invalid, too-large, refused, exhausted
  message         text        NOT NULL,
  stack           text,
  attempts        jsonb       NOT NULL DEFAULT '[]',   -- [{"attempt": 1, "at": ISO 8601, "error": text}]
  worker          text        NOT NULL,                -- WORKER_ID
  first_failed_at timestamptz NOT NULL,
  last_failed_at  timestamptz NOT NULL,
  buried_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
  dedupe_key      text        NOT NULL,                -- the effect_key of its replays
  state           text        NOT NULL DEFAULT 'dead', -- dead, replaying, resolved, purged
  replay_count    integer     NOT NULL DEFAULT 0,
  published_at    timestamptz,                         -- when the last replay was known to be on the topic
  edited_value    bytea                                -- what a replay sends instead
);

-- Who did what, when and why.
CREATE TABLE dead_letter_audit (
  id        bigint      GENERATED ALWAYS AS IDENTITY,
  at        timestamptz NOT NULL DEFAULT clock_timestamp(),
  operation text        NOT NULL,                      -- replay, edit, purge
  actor     text        NOT NULL,
  reason    text        NOT NULL,
  letters   bigint[]    NOT NULL,
  detail    jsonb       NOT NULL DEFAULT '{}'
);
