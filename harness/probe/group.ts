/** The consumer group as the broker sees it. */
import { type Admin, AssignerProtocol } from "kafkajs";
import type { GroupSample } from "../record/record.ts";

interface GroupState {
  readonly state: string;
  /** Ids the broker gave them; who joins anew gets a new one. */
  readonly members: readonly string[];
  /** Partitions of the topic that some member holds. */
  readonly assigned: ReadonlySet<number>;
}

async function groupState(admin: Admin, groupId: string, topic: string): Promise<GroupState> {
  const { groups } = await admin.describeGroups([groupId]);
  const group = groups[0];
  const assigned = new Set<number>();
  for (const { memberAssignment } of group?.members ?? []) {
    if (memberAssignment.length === 0) continue;
    for (const partition of AssignerProtocol.MemberAssignment.decode(memberAssignment)?.assignment[topic] ??
      []) {
      assigned.add(partition);
    }
  }
  return {
    state: group?.state ?? "Unknown",
    members: group?.members.map(({ memberId }) => memberId) ?? [],
    assigned,
  };
}

/**
 * Ids of the group's members when it is ready, else undefined. Ready: it is stable, every partition has an owner, and
 * there are as many members as workers.
 */
export async function readyMembers(
  admin: Admin,
  groupId: string,
  topic: string,
  partitions: number,
  workers = 1,
): Promise<readonly string[] | undefined> {
  const { state, assigned, members } = await groupState(admin, groupId, topic);
  const isReady = state === "Stable" && assigned.size === partitions && members.length >= workers;
  return isReady ? members : undefined;
}

const everyMs = 200;

export interface GroupProbe {
  /** What was seen so far; grows. A look that the broker did not answer leaves no sample. */
  readonly samples: GroupSample[];
  stop(): Promise<void>;
}

/** Looks at the group five times a second: a worker that lost its session shows as another state or another member. */
export function startGroupProbe(admin: Admin, groupId: string, now: () => number): GroupProbe {
  const samples: GroupSample[] = [];
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  const look = async (): Promise<void> => {
    const began = performance.now();
    try {
      const { state, members } = await groupState(admin, groupId, "");
      samples.push({ atMs: Math.round(now() * 10) / 10, state, members: [...members] });
    } catch {
      // The broker did not answer: nothing is known about this moment.
    }
    if (!stopped) timer = setTimeout(again, Math.max(10, everyMs - (performance.now() - began)));
  };
  let last = look();
  const again = (): void => {
    last = look();
  };
  return {
    samples,
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await last;
    },
  };
}
