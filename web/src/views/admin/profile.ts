// The operator's profile as a form edits it, and back.
import type { Grant, NewOperator, OperatorAccount, OperatorChange, OperatorProfile, Role } from '../../api/types';

export interface ProfileForm {
  login: string;
  name: string;
  password: string;
  language: string;
  enabled: boolean;
  administrations: string[];
  /** `administration/office` never occurs: office names are unique within what the operator works for. */
  offices: string[];
  queues: string[];
  languages: string[];
  channels: string[];
  skills: { name: string; level: number }[];
  liveUnits: number;
  deskSlots: number;
  grants: Grant[];
}

export function formOf(account?: OperatorAccount): ProfileForm {
  const profile = account?.profile;
  return {
    login: account?.login ?? '',
    name: account?.name ?? '',
    password: '',
    language: account?.language ?? 'it',
    enabled: account?.enabled ?? true,
    administrations: [...(profile?.administrations ?? [])],
    offices: [...(profile?.offices ?? [])],
    queues: [...(profile?.queues ?? [])],
    languages: [...(profile?.languages ?? [])],
    channels: [...(profile?.channels ?? [])],
    skills: Object.entries(profile?.skills ?? {}).map(([name, level]) => ({ name, level })),
    liveUnits: profile?.capacity.live_units ?? 100,
    deskSlots: profile?.capacity.desk_slots ?? 2,
    grants: [...(account?.grants ?? [])],
  };
}

/** The profile of a form; what the form does not show (caps per channel) stays as it was. */
export function profileOf(form: ProfileForm, before?: OperatorProfile): OperatorProfile {
  return {
    administrations: form.administrations,
    offices: form.offices,
    queues: form.queues,
    languages: form.languages,
    channels: form.channels,
    skills: Object.fromEntries(form.skills.filter((skill) => skill.name.trim()).map((skill) => [skill.name.trim(), skill.level])),
    capacity: { live_units: form.liveUnits, desk_slots: form.deskSlots, channels: before?.capacity.channels ?? {} },
  };
}

/** What a form changed of an account: whatever it left alone may meanwhile be changed by others. */
export function changeOf(form: ProfileForm, account: OperatorAccount): OperatorChange {
  const differs = (a: unknown, b: unknown) => JSON.stringify(a) !== JSON.stringify(b);
  const [profile, before] = [form, formOf(account)].map((each) => profileOf(each, account.profile));
  return {
    ...(form.name.trim() === account.name ? {} : { name: form.name.trim() }),
    ...(differs(profile, before) ? { profile: profile! } : {}),
    ...(differs(form.grants, account.grants) ? { grants: form.grants } : {}),
  };
}

/** The options of a form, and the account's own codes that nobody `known` has: they stay, and can be taken away. */
export function withOwn<T extends { id: string; name: string }>(options: T[], own: readonly string[] = [], known: readonly { id: string }[] = options): { id: string; name: string }[] {
  const strange = own.filter((id) => !known.some((each) => each.id === id));
  return [...options, ...strange.map((id) => ({ id, name: id }))];
}

export function newOperatorOf(form: ProfileForm): NewOperator {
  return {
    login: form.login.trim(), name: form.name.trim(), password: form.password, language: form.language,
    profile: profileOf(form), grants: form.grants,
  };
}

/** A grant's scope as one text, for a select. */
export function scopeKey(grant: Grant): string {
  if ('pool' in grant.scope) return `pool/${grant.scope.pool}`;
  if ('administration' in grant.scope) return `administration/${grant.scope.administration}`;
  return `office/${grant.scope.office.join('/')}`;
}

/** The grant of a role and a scope written by [`scopeKey`]. */
export function grantOf(role: Role, key: string, content: boolean): Grant {
  const [kind, first = '', second = ''] = key.split('/');
  if (kind === 'pool') return { role, scope: { pool: first }, content };
  if (kind === 'administration') return { role, scope: { administration: first }, content };
  return { role, scope: { office: [first, second] }, content };
}
