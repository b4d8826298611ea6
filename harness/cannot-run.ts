/** The run could not begin: bad usage, no stack, a worker that never started. Exit code 3. */
export class CannotRun extends Error {
  /** What to do about it, a line each. */
  readonly remedies: readonly string[];

  /** @param reason one line, without a full stop */
  constructor(reason: string, remedies: readonly string[] = []) {
    super(reason);
    this.name = "CannotRun";
    this.remedies = remedies;
  }
}

/** The run was ended from outside, by a signal; whoever sent it knows. */
export class Interrupted extends Error {
  constructor() {
    super("the run was interrupted");
    this.name = "Interrupted";
  }
}
