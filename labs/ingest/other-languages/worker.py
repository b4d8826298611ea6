"""The ingest worker in Python: the promises of solution.ts, kept with other libraries.

Everything it is told comes by environment, and it is judged only by what it does.
"""
import json
import os
import re
import signal
import sys
import time
from datetime import datetime

import psycopg
from confluent_kafka import Consumer, KafkaException, TopicPartition

BATCH_MESSAGES, BATCH_WITHIN_S, RETRY_CAP_S = 1_000, 0.05, 1.0

# The schema has no keys: they are this worker's own. Safe at every start, and when several workers start at once.
KEYS = """SELECT pg_advisory_xact_lock(hashtextextended('ingest: keys', 0));
CREATE UNIQUE INDEX IF NOT EXISTS payments_event_id ON payments (event_id);
CREATE UNIQUE INDEX IF NOT EXISTS rejected_messages_place ON rejected_messages (topic, partition, "offset")"""
INSERT_PAYMENT = "INSERT INTO payments VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
INSERT_REJECTED = """INSERT INTO rejected_messages (topic, partition, "offset", key, value, reason)
VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-](0\d|1[0-4]):[0-5]\d)", re.ASCII)


def is_uuid(value):
    return isinstance(value, str) and UUID.fullmatch(value) is not None


def is_text(value):
    """Text as Postgres can hold it: no NUL, and no half of a surrogate pair."""
    return isinstance(value, str) and re.search("[\0\ud800-\udfff]", value) is None


def is_int(value):
    """64 bits. Neither a bool, which is an int to Python, nor 12.0: an amount is never a float."""
    return type(value) is int and -(2**63) <= value < 2**63


def is_time(value):
    """Checked here, because Postgres would take "yesterday" too. Stored as it came, to the microsecond."""
    if not isinstance(value, str) or TIME.fullmatch(value) is None:
        return False
    datetime.strptime(value[:19], "%Y-%m-%dT%H:%M:%S")  # ValueError for the 30th of February
    return True


FIELDS = {  # in the order of the table's columns
    "eventId": (is_uuid, "a UUID"),
    "accountId": (is_text, "text"),
    "amountCents": (is_int, "a whole number"),
    "occurredAt": (is_time, "an ISO 8601 time with its offset"),
    "sequence": (is_int, "a whole number"),
    "padding": (is_text, "text"),
}


def parse(value):
    """The payment's row; a ValueError says what is wrong with the message."""
    if value is None:
        raise ValueError("the message has no value")
    if value == b"":
        raise ValueError("the value is empty")
    try:
        event = json.loads(value.decode("utf-8"))
    except RecursionError:
        raise ValueError("the value is nested too deep") from None
    if not isinstance(event, dict):
        raise ValueError("the value is not an object")
    for name, (is_valid, expected) in FIELDS.items():
        if name not in event:
            raise ValueError(f"{name} is missing")
        if not is_valid(event[name]):
            raise ValueError(f"{name} must be {expected}")
    return [event[name] for name in FIELDS]


class Worker:
    def __init__(self, env):
        self.url, self.database = env["DATABASE_URL"], None
        self.batch_messages = min(BATCH_MESSAGES, int(env["WORKER_MAX_IN_FLIGHT"]))
        self.stopping = False
        self.stored = {}  # (topic, partition) -> next offset: written, and not yet committed
        session_ms = int(env["KAFKA_SESSION_TIMEOUT_MS"])
        self.consumer = Consumer({
            "bootstrap.servers": env["KAFKA_BROKERS"],
            "group.id": env["KAFKA_GROUP_ID"],
            "session.timeout.ms": session_ms,
            "heartbeat.interval.ms": session_ms // 4,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "queued.max.messages.kbytes": 8_192,  # what waits in memory; the broker keeps the rest
            "fetch.queue.backoff.ms": 20,  # the default waits a second when that is full
            "reconnect.backoff.max.ms": 1_000,
        })
        self.consumer.subscribe([env["KAFKA_TOPIC"]], on_revoke=lambda *_: self.stored.clear())

    def run(self):
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, self.stop)
        self.insist(lambda cursor: cursor.execute(KEYS))
        while not self.stopping:
            pulled = self.consumer.consume(self.batch_messages, BATCH_WITHIN_S)
            if self.store([message for message in pulled if not self.is_trouble(message)]):
                self.commit()
        self.consumer.close()

    def stop(self, *_):
        self.stopping = True

    def is_trouble(self, message):
        """What the client has to tell comes as a message too; it mends itself unless it is fatal."""
        error = message.error()
        if error is not None and error.fatal():
            raise KafkaException(error)
        return error is not None

    def store(self, messages):
        """Writes a batch; whatever is no payment goes to the rejected. False: told to stop, and not written."""
        payments, rejected = [], []
        for message in messages:
            try:
                payments.append(parse(message.value()))
            except ValueError as error:
                rejected.append(rejection(message, error))

        def write(cursor):
            # Sorted by key: two batches that share keys in another order would deadlock.
            cursor.executemany(INSERT_PAYMENT, sorted(payments))
            cursor.executemany(INSERT_REJECTED, rejected)

        if not self.insist(write):
            return False
        for message in messages:
            self.stored[message.topic(), message.partition()] = message.offset() + 1
        return True

    def insist(self, work):
        """Does work(cursor) in one transaction, again until the database took it; False when told to stop.

        librdkafka's own thread keeps the group session alive meanwhile.
        """
        wait_s = 0.05
        while True:
            try:
                if self.database is None:
                    self.database = psycopg.connect(self.url, connect_timeout=3, tcp_user_timeout=5_000)
                with self.database.transaction(), self.database.cursor() as cursor:
                    work(cursor)
                return True
            except psycopg.OperationalError as error:
                print(f"postgres: {error}", file=sys.stderr)
                if self.database is not None:
                    self.database.close()
                    self.database = None
                if self.stopping:
                    return False
                time.sleep(wait_s)
                wait_s = min(2 * wait_s, RETRY_CAP_S)

    def commit(self):
        """Behind the write, never before. What cannot be committed now is tried again with the next batch."""
        if not self.stored:
            return
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in self.stored.items()]
        try:
            self.consumer.commit(offsets=offsets, asynchronous=False)
            self.stored.clear()
        except KafkaException as error:
            print(f"kafka: {error}", file=sys.stderr)


def rejection(message, error):
    return [message.topic(), message.partition(), message.offset(), message.key(), message.value(), str(error)]


Worker(os.environ).run()
