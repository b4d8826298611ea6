/** Redis as a child process. */
import { redisSettings } from "../settings.ts";

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
    ...Object.entries(redisSettings).map(([name, value]) => `${name} ${value}`),
    "",
  ].join("\n");
}
