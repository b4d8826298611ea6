/** Where labels go so that none lies on another. Plain arithmetic on pixels. */

export interface Span {
  readonly centre: number;
  readonly size: number;
}

/**
 * Puts spans as near to their centres as they can be without overlap, inside [low, high], in the order
 * of their centres. Gives the new centres in the order of the input; undefined when they do not fit.
 *
 * Pool adjacent violators: spans that would collide become one block around their common mean, which
 * is the least-squares answer (Barlow et al., 1972).
 */
export function spread(spans: readonly Span[], low: number, high: number): number[] | undefined {
  const total = spans.reduce((sum, span) => sum + span.size, 0);
  if (total > high - low) return undefined;
  const order = spans.map((span, index) => ({ span, index })).sort((a, b) => a.span.centre - b.span.centre);

  /** `offsets` sums, over the members, where the block's start would have to be for each. */
  type Block = { start: number; size: number; offsets: number; members: typeof order };
  const blocks: Block[] = [];
  for (const member of order) {
    const start = member.span.centre - member.span.size / 2;
    let block: Block = { start: 0, size: member.span.size, offsets: start, members: [member] };
    block.start = within(start, low, high - block.size);
    for (
      let before = blocks.at(-1);
      before && before.start + before.size > block.start;
      before = blocks.at(-1)
    ) {
      blocks.pop();
      block = {
        start: 0,
        size: before.size + block.size,
        offsets: before.offsets + block.offsets - before.size * block.members.length,
        members: [...before.members, ...block.members],
      };
      block.start = within(block.offsets / block.members.length, low, high - block.size);
    }
    blocks.push(block);
  }

  const centres = new Array<number>(spans.length).fill(0);
  for (const block of blocks) {
    let at = block.start;
    for (const { span, index } of block.members) {
      centres[index] = at + span.size / 2;
      at += span.size;
    }
  }
  return centres;
}

/** A span's lane (0 is nearest to the plot) and its left edge. */
export interface LanePlace {
  readonly lane: number;
  readonly left: number;
}

/**
 * Puts labels over their centres inside [low, high]; one that would touch another goes to the next lane.
 * There are as many lanes as it takes. No span may be wider than high - low.
 */
export function inLanes(spans: readonly Span[], low: number, high: number, gap: number): LanePlace[] {
  const laneEnds: number[] = [];
  const places = new Array<LanePlace>(spans.length);
  const order = spans.map((span, index) => ({ span, index })).sort((a, b) => a.span.centre - b.span.centre);
  for (const { span, index } of order) {
    const left = within(span.centre - span.size / 2, low, high - span.size);
    let lane = laneEnds.findIndex((end) => left >= end + gap);
    if (lane === -1) lane = laneEnds.length;
    laneEnds[lane] = left + span.size;
    places[index] = { lane, left };
  }
  return places;
}

export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

export function overlaps(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

/** What of an upright line at `x` no box is in the way of, from top to bottom. */
export function clear(
  x: number,
  line: { readonly top: number; readonly bottom: number },
  boxes: readonly Box[],
): { top: number; bottom: number }[] {
  const margin = 3;
  const inTheWay = boxes
    .filter((box) => box.left - margin < x && x < box.right + margin)
    .sort((a, b) => a.top - b.top);
  const parts: { top: number; bottom: number }[] = [];
  let top = line.top;
  for (const box of inTheWay) {
    if (box.bottom < top || box.top > line.bottom) continue;
    if (box.top > top) parts.push({ top, bottom: box.top });
    top = Math.max(top, box.bottom);
  }
  if (line.bottom > top) parts.push({ top, bottom: line.bottom });
  return parts;
}

export function within(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, value));
}
