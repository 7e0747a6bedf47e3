/** Loading of one thing: data, error, and `slow` after 600 ms so that quick answers do not flicker. */

import { onScopeDispose, ref, shallowRef, type Ref } from 'vue'
import { ProblemError } from '@/api/http'

const SLOW_MS = 600

export interface Load<T> {
  data: Ref<T | null>
  error: Ref<ProblemError | null>
  loading: Ref<boolean>
  slow: Ref<boolean>
  reload: () => Promise<void>
}

export function asProblem(error: unknown): ProblemError {
  if (error instanceof ProblemError) return error
  return new ProblemError(0, 'unexpected', '', error instanceof Error ? error.message : String(error))
}

/** The newest call wins; an older answer that comes late is dropped. */
export function useLoad<T>(fetch: () => Promise<T>, now = true): Load<T> {
  const data = shallowRef<T | null>(null)
  const error = shallowRef<ProblemError | null>(null)
  const loading = ref(false)
  const slow = ref(false)
  let turn = 0
  let timer: ReturnType<typeof setTimeout> | undefined

  async function reload(): Promise<void> {
    const mine = ++turn
    loading.value = true
    clearTimeout(timer)
    timer = setTimeout(() => (slow.value = loading.value), SLOW_MS)
    try {
      const answer = await fetch()
      if (mine !== turn) return
      data.value = answer
      error.value = null
    } catch (caught) {
      if (mine !== turn) return
      error.value = asProblem(caught)
    }
    clearTimeout(timer)
    loading.value = slow.value = false
  }

  onScopeDispose(() => {
    turn += 1
    clearTimeout(timer)
  })
  if (now) void reload()
  return { data, error, loading, slow, reload }
}
