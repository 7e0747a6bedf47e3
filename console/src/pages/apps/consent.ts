/** What an app asks for, and what of it is refused: words and choices of the dialog of installation. */

import type { Permission } from '@/api/apps'

/** Names of optional permissions that are proposed to be refused: those that were refused before. */
export function proposedRefusals(permissions: Permission[]): string[] {
  return [...new Set(permissions.filter((one) => one.optional && !one.granted).map((one) => one.name))].sort()
}

/** Refusals after the box of a permission was changed. */
export function withBox(refused: string[], name: string, checked: boolean): string[] {
  const rest = refused.filter((one) => one !== name)
  return checked ? rest : [...rest, name].sort()
}

/** Whether a permission is granted with these refusals; what is not optional always is. */
export function isGranted(one: Permission, refused: string[]): boolean {
  return !one.optional || !refused.includes(one.name)
}

/** The reason in a language, or in the other one; empty when the app gives none. */
export function reasonOf(one: Permission, language: string): string {
  return one.reason[language] || one.reason.en || one.reason.zh || ''
}
