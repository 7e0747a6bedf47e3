/** The signed-in user, for every page. */

import { computed, readonly, ref } from 'vue'
import { api } from './endpoints'
import { onSignedOut, ProblemError } from './http'
import { allowed, type Action } from './permissions'
import type { SessionUser } from './types'

const current = ref<SessionUser | null>(null)
let asked = false

onSignedOut(() => {
  current.value = null
})

/** Ask the node once who is signed in; null when nobody is. Throws `ProblemError` when the node does not answer. */
async function restore(): Promise<SessionUser | null> {
  if (asked) return current.value
  try {
    current.value = (await api.session.get()).user
  } catch (error) {
    if (!(error instanceof ProblemError) || error.status !== 401) throw error
    current.value = null
  }
  asked = true
  return current.value
}

async function signIn(name: string, password: string): Promise<SessionUser> {
  const { user } = await api.session.open(name, password)
  current.value = user
  asked = true
  return user
}

async function signOut(): Promise<void> {
  await api.session.close().catch(() => undefined)
  current.value = null
}

async function changePassword(old: string, fresh: string): Promise<void> {
  await api.session.changePassword(old, fresh)
  current.value = (await api.session.get()).user
}

export const session = {
  user: readonly(current),
  can: (action: Action) => computed(() => current.value !== null && allowed(current.value.role, action, current.value.tenant.id)),
  restore,
  signIn,
  signOut,
  changePassword,
}
