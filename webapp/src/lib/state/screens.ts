/** Which screens a person has, by role, in the order of the menu. The server decides; this only hides dead ends. */
import type { Role } from '../api/types';
import type { MessageKey } from '../messages';

export interface Screen {
  name: string;
  label: MessageKey;
  roles: readonly Role[];
}

export const SCREENS: readonly Screen[] = [
  { name: 'alerts', label: 'nav.alerts', roles: ['officer'] },
  { name: 'desk', label: 'nav.desk', roles: ['operator'] },
  { name: 'map', label: 'nav.map', roles: ['coordinator'] },
  { name: 'deployment', label: 'nav.deployment', roles: ['authoriser', 'coordinator'] },
  { name: 'watchlist', label: 'nav.watchlist', roles: ['watchlist_manager', 'operator'] },
  { name: 'record', label: 'nav.record', roles: ['authoriser', 'coordinator', 'operator', 'auditor'] },
  { name: 'audit', label: 'nav.audit', roles: ['auditor'] },
  { name: 'users', label: 'nav.users', roles: ['administrator'] },
];

/** The screen that a person came for: their first role's own, not one that another role happens to share. */
export function screensFor(roles: readonly Role[]): Screen[] {
  return SCREENS.filter((screen) => screen.roles.some((role) => roles.includes(role)));
}

const HOME: Record<Role, string> = {
  officer: 'alerts',
  operator: 'desk',
  coordinator: 'map',
  authoriser: 'deployment',
  watchlist_manager: 'watchlist',
  auditor: 'audit',
  administrator: 'users',
};

export function homeFor(roles: readonly Role[]): string {
  const found = screensFor(roles).find((screen) => roles.some((role) => HOME[role] === screen.name));
  return found?.name ?? 'alerts';
}
