// What a person may do, read from their grants. The server decides; this only hides what it would refuse.
import type { Me, Role } from '../api/types';

const REACH: Record<Role, number> = { operator: 0, supervisor: 1, admin: 2 };

export function hasRole(me: Me, role: Role): boolean {
  return me.grants.some((grant) => REACH[grant.role] >= REACH[role]);
}

/** Whether they answer citizens themselves, and not only watch the room. */
export const isOperator = (me: Me) => me.grants.some((grant) => grant.role === 'operator');
export const isSupervisor = (me: Me) => hasRole(me, 'supervisor');
export const isAdmin = (me: Me) => hasRole(me, 'admin');
