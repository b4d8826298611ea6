/** Redis as a child process. */

/**
 * redis.conf. In a file and not in arguments, because of the password: every process list shows arguments.
 * A password at all, because whoever may configure a Redis may write files as its user.
 */
export function redisConfiguration(port: number, dataFolder: string, password: string): string {
  return [
    "bind 127.0.0.1",
    `port ${port}`,
    `requirepass ${password}`,
    `dir "${dataFolder}"`,
    "daemonize no",
    // Timers fire hz times a second: at the default of 10, delayed jobs are up to 100 ms late.
    "hz 100",
    "maxmemory-policy noeviction",
    "appendonly yes",
    'save ""',
    "",
  ].join("\n");
}
