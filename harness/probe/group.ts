/** The consumer group as the broker sees it. */
import { type Admin, AssignerProtocol } from "kafkajs";

interface GroupState {
  readonly state: string;
  readonly members: number;
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
  return { state: group?.state ?? "Unknown", members: group?.members.length ?? 0, assigned };
}

/** Ready: the group is stable and every partition has an owner. */
export async function isGroupReady(
  admin: Admin,
  groupId: string,
  topic: string,
  partitions: number,
): Promise<boolean> {
  const { state, assigned } = await groupState(admin, groupId, topic);
  return state === "Stable" && assigned.size === partitions;
}
