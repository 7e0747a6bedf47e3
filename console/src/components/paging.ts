/** Cursor paging with a way back: the cursors of the pages seen so far. */

import { computed, ref, watch, type Ref } from 'vue'
import type { Page } from '@/api/types'
import { useLoad } from './load'

export function usePages<T>(fetch: (cursor: string | null) => Promise<Page<T>>, filters: Ref<unknown>[] = []) {
  const trail = ref<(string | null)[]>([null])
  const load = useLoad(() => fetch(trail.value[trail.value.length - 1] ?? null))
  const items = computed<T[]>(() => load.data.value?.items ?? [])

  function next(): void {
    const cursor = load.data.value?.next
    if (!cursor) return
    trail.value = [...trail.value, cursor]
    void load.reload()
  }
  function previous(): void {
    if (trail.value.length < 2) return
    trail.value = trail.value.slice(0, -1)
    void load.reload()
  }
  function first(): void {
    trail.value = [null]
    void load.reload()
  }
  if (filters.length) watch(filters, first)
  return { load, items, trail, next, previous, first }
}

export type Pages<T> = ReturnType<typeof usePages<T>>
