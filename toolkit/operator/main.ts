/** `npm run dlq -- <command>`, on the database of DATABASE_URL and the brokers of KAFKA_BROKERS. */
import { operator } from "./command.ts";

process.exitCode = await operator(process.argv.slice(2));
