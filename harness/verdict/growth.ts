/** The growth factor of waits, fitted: ln(wait) = ln(base) + (attempt - 1) x ln(factor), least squares. */

export interface Growth {
  readonly factor: number;
  /** 95 % confidence interval of the factor. */
  readonly low: number;
  readonly high: number;
  readonly baseMs: number;
  readonly samples: number;
  /** Different attempts among the samples. */
  readonly attempts: number;
}

/** Undefined for fewer than three different attempts: two points lie on any curve. */
export function fitGrowth(
  waits: readonly { readonly attempt: number; readonly waitMs: number }[],
): Growth | undefined {
  const points = waits
    .filter(({ waitMs }) => waitMs > 0)
    .map((one) => [one.attempt - 1, Math.log(one.waitMs)] as const);
  const n = points.length;
  const attempts = new Set(points.map(([x]) => x)).size;
  if (attempts < 3) return undefined;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / n;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / n;
  let xx = 0;
  let xy = 0;
  for (const [x, y] of points) {
    xx += (x - meanX) ** 2;
    xy += (x - meanX) * (y - meanY);
  }
  const slope = xy / xx;
  const intercept = meanY - slope * meanX;
  const residual = points.reduce((sum, [x, y]) => sum + (y - intercept - slope * x) ** 2, 0);
  const error = Math.sqrt(residual / Math.max(1, n - 2) / xx);
  return {
    factor: Math.exp(slope),
    low: Math.exp(slope - 1.96 * error),
    high: Math.exp(slope + 1.96 * error),
    baseMs: Math.exp(intercept),
    samples: n,
    attempts,
  };
}
