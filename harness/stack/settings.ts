/**
 * What a lab relies on in the three servers, whoever starts them: native ones, containers, and
 * docker-compose.yml, which a test holds against these values.
 */
export type Settings = Readonly<Record<string, string | number | boolean>>;

/** Lines of server.properties. */
export const kafkaSettings = {
  // One node.
  "offsets.topic.num.partitions": 1,
  "offsets.topic.replication.factor": 1,
  "transaction.state.log.num.partitions": 1,
  "transaction.state.log.replication.factor": 1,
  "transaction.state.log.min.isr": 1,
  "share.coordinator.state.topic.num.partitions": 1,
  "share.coordinator.state.topic.replication.factor": 1,
  "share.coordinator.state.topic.min.isr": 1,
  // A lab's topics are made on purpose, with the partitions it says.
  "auto.create.topics.enable": false,
  // Groups form at once, and a killed worker's partitions move after its own, short, session timeout.
  "group.initial.rebalance.delay.ms": 0,
  "group.min.session.timeout.ms": 1000,
  // After a SIGKILL the controller lets the new broker in when the old one's session has run out.
  "broker.session.timeout.ms": 1000,
  "broker.heartbeat.interval.ms": 200,
  // The cleaner's 128 MB map is for clusters.
  "log.cleaner.dedupe.buffer.size": 8 * 2 ** 20,
} as const satisfies Settings;

/** `-c name=value` of the server. */
export const postgresSettings = {
  // Files in the data folder: the kernel's shared memory would keep them after a SIGKILL, and a container has little.
  dynamic_shared_memory_type: "mmap",
  max_connections: 100,
  fsync: "on",
  // The harness reads from it when each row was stored.
  track_commit_timestamp: "on",
  log_timezone: "UTC",
  timezone: "UTC",
} as const satisfies Settings;

/** Lines of redis.conf. */
export const redisSettings = {
  // Timers fire hz times a second: at the default of 10, delayed jobs are up to 100 ms late.
  hz: 100,
  "maxmemory-policy": "noeviction",
  appendonly: "yes",
  // Each write reaches the system before its answer: what is killed here is the server, never the machine. The default
  // puts writes off while it syncs, and a killed server then forgets what it had answered for.
  appendfsync: "no",
  save: '""',
} as const satisfies Settings;
