/**
 * Is it worth trying again? Tells trouble with the way to the database, or with its state, from trouble with the
 * row that was to be stored.
 *
 * Doubt is resolved towards transient: to try again loses nothing, while a good row that is called bad ends in the
 * wrong place. So a missing table or a missing right is transient too: nothing is wrong with the message, and the
 * worker goes on once the database is put right.
 */

/**
 * SQLSTATE classes, and codes, that speak of the data. From "PostgreSQL Error Codes", appendix A of its manual:
 * 22 data exception, 23 integrity constraint violation, 54 program limit exceeded (a row or a value too large,
 * nested too deep), 44 WITH CHECK OPTION violation. P0001 is what a trigger raises to refuse a row.
 */
const permanentClasses = new Set(["22", "23", "44", "54"]);
const permanentCodes = new Set(["P0001"]);

/** Errors that a second try repeats: they come from the program's own code. */
const programErrors = [TypeError, RangeError, ReferenceError, SyntaxError];

/**
 * True when the same statement may succeed later: connection lost or refused (SQLSTATE class 08, ECONNRESET and its
 * kin), server out of resources (53), shut down or starting (57P0x), statement cancelled (57014), deadlock and
 * serialization failure (40), and anything else that does not speak of the row itself.
 */
export function isTransient(error: unknown): boolean {
  const state = sqlState(error);
  if (state !== undefined) return !permanentClasses.has(state.slice(0, 2)) && !permanentCodes.has(state);
  return !programErrors.some((kind) => error instanceof kind);
}

/** The five characters by which Postgres names an error, or undefined when it did not come from the server. */
export function sqlState(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error) || !("severity" in error))
    return undefined;
  return typeof error.code === "string" && /^[0-9A-Z]{5}$/.test(error.code) ? error.code : undefined;
}
