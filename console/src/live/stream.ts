/** The one live connection of a tab (GET /v1/stream): overview, alarms, latest values, changes in the tree. */

import { computed, onScopeDispose, readonly, ref, shallowReactive, shallowRef, watch, type Ref } from 'vue'
import { api } from '@/api/endpoints'
import { session } from '@/api/session'
import type { Alarm, Latest, LatestOfSeries, Overview, Page } from '@/api/types'
import { compareAlarms, isNewAlarm, isOpen, mergeAlarm } from './alarms'
import { now } from './clock'
import { isNewer } from './latest'

/** The stream speaks every second; after this silence the page says that its values are old. */
const SILENCE_MS = 5_000
const HIDDEN_MS = 60_000
const RETRY_MS = 3_000

export type StreamState = 'idle' | 'connecting' | 'live' | 'lost'

const overview = shallowRef<Overview | null>(null)
const openAlarms = shallowRef<Alarm[]>([])
const newAlarm = shallowRef<Alarm | null>(null)
const latest = shallowReactive(new Map<number, Latest>())
const lastHeard = ref(0)
const lostSince = ref(0)
const wanted = new Map<number, number>()
const alarmListeners = new Set<(alarm: Alarm) => void>()
const treeListeners = new Set<(changed: readonly string[]) => void>()

let source: EventSource | null = null
let address = ''
let timer: ReturnType<typeof setTimeout> | undefined
let hidden: ReturnType<typeof setTimeout> | undefined

/** Before the one-time password is changed the node gives nothing but the own session. */
const ready = computed(() => session.user.value !== null && !session.user.value.must_change_password)

const state = computed<StreamState>(() => {
  if (!ready.value) return 'idle'
  if (lastHeard.value === 0) return lostSince.value === 0 ? 'connecting' : 'lost'
  return now.value - lastHeard.value > SILENCE_MS ? 'lost' : 'live'
})

function heard(): void {
  lastHeard.value = Date.now()
  lostSince.value = 0
}

async function loadAlarms(): Promise<void> {
  try {
    const open: Alarm[] = []
    let cursor: string | null = null
    do {
      const page: Page<Alarm> = await api.alarms.list({ state: 'active', limit: 500, cursor })
      open.push(...page.items)
      cursor = page.next
    } while (cursor && open.length < 2000)
    openAlarms.value = open.filter(isOpen).sort(compareAlarms)
  } catch {
    // The stream's own state tells that the node does not answer; the list stays as it was.
  }
}

function onAlarm(alarm: Alarm): void {
  const fresh = isNewAlarm(openAlarms.value, alarm)
  openAlarms.value = mergeAlarm(openAlarms.value, alarm)
  if (fresh) newAlarm.value = alarm
  for (const listener of alarmListeners) listener(alarm)
}

export function keepLatest(items: LatestOfSeries[]): void {
  for (const { series, ...value } of items) if (isNewer(value, latest.get(series))) latest.set(series, value)
}

function close(): void {
  source?.close()
  source = null
  address = ''
}

function connect(): void {
  if (!ready.value) return close()
  const series = [...wanted.keys()].sort((a, b) => a - b)
  const next = `/v1/stream${series.length ? `?series=${series.join(',')}` : ''}`
  if (source && next === address) return
  close()
  address = next
  const fresh = new EventSource(next)
  source = fresh
  fresh.addEventListener('open', () => {
    void loadAlarms()
    // What changed while there was no connection, nobody has said.
    for (const listener of treeListeners) listener(['nodes', 'orders', 'reports', 'order/'])
  })
  fresh.addEventListener('overview', (event) => {
    heard()
    overview.value = JSON.parse(event.data as string) as Overview
  })
  fresh.addEventListener('alarm', (event) => {
    heard()
    onAlarm(JSON.parse(event.data as string) as Alarm)
  })
  fresh.addEventListener('latest', (event) => {
    heard()
    keepLatest(JSON.parse(event.data as string) as LatestOfSeries[])
  })
  fresh.addEventListener('tree', (event) => {
    heard()
    const { changed } = JSON.parse(event.data as string) as { changed: string[] }
    for (const listener of treeListeners) listener(changed)
  })
  fresh.addEventListener('error', () => {
    if (lostSince.value === 0) lostSince.value = Date.now()
    if (fresh.readyState === EventSource.CLOSED && source === fresh) {
      close()
      // A closed source never retries by itself; a 401 is found out here, too.
      timer = setTimeout(() => {
        void api.session.get().then(connect, connect)
      }, RETRY_MS)
    }
  })
}

function plan(): void {
  clearTimeout(timer)
  timer = setTimeout(connect, 50)
}

watch(
  () => (ready.value ? session.user.value?.id : undefined),
  (user) => {
    if (user) return plan()
    close()
    clearTimeout(timer)
    overview.value = null
    openAlarms.value = []
    latest.clear()
    lastHeard.value = 0
  },
  { immediate: true },
)

if (typeof document !== 'undefined') {
  // Browsers allow six connections to one node: a tab nobody sees gives its own back.
  document.addEventListener('visibilitychange', () => {
    clearTimeout(hidden)
    if (document.hidden) hidden = setTimeout(close, HIDDEN_MS)
    else if (!source) plan()
  })
}

/** Follow the latest values of these series as long as the calling component lives. */
export function useLatest(series: Ref<readonly number[]>): ReadonlyMap<number, Latest> {
  let held: readonly number[] = []
  const release = () => {
    for (const id of held) {
      const users = (wanted.get(id) ?? 1) - 1
      if (users > 0) wanted.set(id, users)
      else wanted.delete(id)
    }
  }
  watch(
    series,
    (ids) => {
      release()
      held = [...ids]
      for (const id of held) wanted.set(id, (wanted.get(id) ?? 0) + 1)
      plan()
      const unknown = held.filter((id) => !latest.has(id))
      if (unknown.length) void api.series.latest(unknown).then((answer) => keepLatest(answer.items), () => undefined)
    },
    { immediate: true },
  )
  onScopeDispose(() => {
    release()
    plan()
  })
  return latest
}

/** Call `listener` on every change of an alarm as long as the calling component lives. */
export function useAlarmChanges(listener: (alarm: Alarm) => void): void {
  alarmListeners.add(listener)
  onScopeDispose(() => alarmListeners.delete(listener))
}

/** Call `listener` with what changed in the tree (`nodes`, `orders`, `order/<id>`, `reports`) as long as the caller lives. */
export function useTreeEvents(listener: (changed: readonly string[]) => void): void {
  treeListeners.add(listener)
  onScopeDispose(() => treeListeners.delete(listener))
}

export const live = {
  state,
  overview: readonly(overview) as Readonly<Ref<Overview | null>>,
  openAlarms: readonly(openAlarms) as Readonly<Ref<readonly Alarm[]>>,
  newAlarm: readonly(newAlarm) as Readonly<Ref<Alarm | null>>,
  lastHeard: readonly(lastHeard),
  changed: onAlarm,
}
