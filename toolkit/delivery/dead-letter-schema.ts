/**
 * The tables of dead letters, and the rules that the database itself enforces: run `deadLetterSchema` with
 * `ensureSchema` at every start. Tables that are already there (without keys, as a lab's schema.sql makes them) are
 * kept and get the rules. Where nothing is missing no table is locked: whoever reads or writes letters is not held up.
 *
 * ```text
 *          bury             replay             effect stored
 *  (new) --------> dead ------------> replaying ------------> resolved
 *                   | ^                  |                        |
 *                   | +------------------+ failed again           | replay --state resolved
 *             purge |                    ^------------------------+
 *                   v
 *                 purged   (its bytes are erased, the rest stays)
 * ```
 */

/** In the order of a letter's life. */
export const deadLetterStates = ["dead", "replaying", "resolved", "purged"] as const;
export type DeadLetterState = (typeof deadLetterStates)[number];

const tables = `
CREATE TABLE IF NOT EXISTS dead_letters (
  id              bigint      GENERATED ALWAYS AS IDENTITY,
  topic           text        NOT NULL,
  partition       integer     NOT NULL,
  "offset"        bigint      NOT NULL,
  key             bytea,
  value           bytea,
  headers         jsonb       NOT NULL DEFAULT '[]',
  class           text        NOT NULL,
  message         text        NOT NULL,
  stack           text,
  attempts        jsonb       NOT NULL DEFAULT '[]',
  worker          text        NOT NULL,
  first_failed_at timestamptz NOT NULL,
  last_failed_at  timestamptz NOT NULL,
  buried_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
  dedupe_key      text        NOT NULL,
  state           text        NOT NULL DEFAULT 'dead',
  replay_count    integer     NOT NULL DEFAULT 0,
  published_at    timestamptz,
  edited_value    bytea
);
CREATE TABLE IF NOT EXISTS dead_letter_audit (
  id        bigint      GENERATED ALWAYS AS IDENTITY,
  at        timestamptz NOT NULL DEFAULT clock_timestamp(),
  operation text        NOT NULL,
  actor     text        NOT NULL,
  reason    text        NOT NULL,
  letters   bigint[]    NOT NULL,
  detail    jsonb       NOT NULL DEFAULT '{}'
);
CREATE TABLE IF NOT EXISTS dead_letter_alerts (
  name     text        PRIMARY KEY,
  firing   boolean     NOT NULL DEFAULT false,
  alert_id text,
  since    timestamptz,
  notified boolean     NOT NULL DEFAULT true
);`;

const keys = `
-- Bytes are kept as they are: to compress a large one takes longer than to store it, and healthy messages wait with it.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'dead_letters'::regclass
             AND attname IN ('value', 'edited_value') AND attstorage <> 'e') THEN
    ALTER TABLE dead_letters
      ALTER COLUMN value SET STORAGE EXTERNAL, ALTER COLUMN edited_value SET STORAGE EXTERNAL;
  END IF;
  -- To ask for an index that is there locks its table against writers.
  IF (SELECT count(*) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
      WHERE indrelid IN ('dead_letters'::regclass, 'dead_letter_audit'::regclass)
      AND relname IN ('dead_letters_id', 'dead_letters_origin', 'dead_letters_state', 'dead_letters_first_failed',
                      'dead_letters_buried', 'dead_letter_audit_id')) < 6 THEN
    CREATE UNIQUE INDEX IF NOT EXISTS dead_letters_id ON dead_letters (id);
    CREATE UNIQUE INDEX IF NOT EXISTS dead_letters_origin ON dead_letters (topic, partition, "offset");
    CREATE INDEX IF NOT EXISTS dead_letters_state ON dead_letters (state, id);
    CREATE INDEX IF NOT EXISTS dead_letters_first_failed ON dead_letters (first_failed_at);
    CREATE INDEX IF NOT EXISTS dead_letters_buried ON dead_letters (buried_at);
    CREATE UNIQUE INDEX IF NOT EXISTS dead_letter_audit_id ON dead_letter_audit (id);
  END IF;
END $$;`;

/** ALWAYS: they hold in sessions that ask for no triggers (session_replication_role) too. */
const rules = `
CREATE OR REPLACE FUNCTION dead_letter_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.state <> 'dead' OR NEW.replay_count <> 0 THEN
      RAISE EXCEPTION 'a letter begins dead and never replayed' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
  END IF;
  IF TG_OP <> 'UPDATE' THEN
    RAISE EXCEPTION 'a dead letter is purged, and never deleted' USING ERRCODE = 'restrict_violation';
  END IF;
  IF OLD.state = 'purged' THEN
    RAISE EXCEPTION 'letter %: what was purged does not change', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  IF NEW.state = 'purged' AND (NEW.value IS NOT NULL OR NEW.edited_value IS NOT NULL) THEN
    RAISE EXCEPTION 'letter %: a purge erases the bytes', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  IF (OLD.id, OLD.topic, OLD.partition, OLD."offset", OLD.key, OLD.headers, OLD.first_failed_at, OLD.buried_at,
      OLD.dedupe_key)
     IS DISTINCT FROM
     (NEW.id, NEW.topic, NEW.partition, NEW."offset", NEW.key, NEW.headers, NEW.first_failed_at, NEW.buried_at,
      NEW.dedupe_key)
     OR (OLD.value IS DISTINCT FROM NEW.value AND NEW.state <> 'purged') THEN
    RAISE EXCEPTION 'letter %: what came from the topic does not change', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  IF OLD.edited_value IS DISTINCT FROM NEW.edited_value AND OLD.state <> 'dead' THEN
    RAISE EXCEPTION 'letter %: only a dead letter is edited', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  IF OLD.attempts IS DISTINCT FROM NEW.attempts AND OLD.attempts IS DISTINCT FROM
     (SELECT jsonb_agg(one ORDER BY i) FROM jsonb_array_elements(NEW.attempts) WITH ORDINALITY AS history (one, i)
      WHERE i <= jsonb_array_length(OLD.attempts)) THEN
    RAISE EXCEPTION 'letter %: its history only grows', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  IF OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN
     (('dead', 'replaying'), ('dead', 'purged'), ('replaying', 'dead'), ('replaying', 'resolved'),
      ('resolved', 'replaying')) THEN
    RAISE EXCEPTION 'letter %: from % there is no way to %', OLD.id, OLD.state, NEW.state
      USING ERRCODE = 'check_violation';
  END IF;
  IF NEW.replay_count <> OLD.replay_count + (OLD.state <> 'replaying' AND NEW.state = 'replaying')::int THEN
    RAISE EXCEPTION 'letter %: each replay counts one', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE OR REPLACE FUNCTION dead_letter_audit_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit trail is only appended to: % is refused', TG_OP USING ERRCODE = 'restrict_violation';
END $$;
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'dead_letters'::regclass AND tgname = 'dead_letters_rules') THEN
    CREATE TRIGGER dead_letters_rules BEFORE INSERT OR UPDATE OR DELETE ON dead_letters
      FOR EACH ROW EXECUTE FUNCTION dead_letter_rules();
    CREATE TRIGGER dead_letters_no_truncate BEFORE TRUNCATE ON dead_letters
      FOR EACH STATEMENT EXECUTE FUNCTION dead_letter_rules();
    CREATE TRIGGER dead_letter_audit_rules BEFORE UPDATE OR DELETE OR TRUNCATE ON dead_letter_audit
      FOR EACH STATEMENT EXECUTE FUNCTION dead_letter_audit_rules();
    ALTER TABLE dead_letters ENABLE ALWAYS TRIGGER dead_letters_rules;
    ALTER TABLE dead_letters ENABLE ALWAYS TRIGGER dead_letters_no_truncate;
    ALTER TABLE dead_letter_audit ENABLE ALWAYS TRIGGER dead_letter_audit_rules;
  END IF;
END $$;`;

/** May be run at every start, by every worker and by the operator's tool. */
export const deadLetterSchema = `${tables}\n${keys}\n${rules}`;
