/** Data of a trend: history, live tail, events and alarms of its points. */

import { computed, onScopeDispose, ref, shallowRef, watch, type Ref } from 'vue'
import { api } from '@/api/endpoints'
import type { Alarm, LatestOfSeries, NodeEvent, SeriesColumns, SeriesQuery } from '@/api/types'
import { asProblem } from '@/components/load'
import type { ProblemError } from '@/api/http'
import { now } from '@/live/clock'
import { useAlarmChanges, useLatest } from '@/live/stream'
import { fillsSilence, unitOf } from './aggregates'
import { appendLatest, differing, emptyLine, lineOf, medianStep, mergeTail, toMs, trimmed, withoutSilence, type Line } from './columns'
import { resolveRange, stepFor, type TrendState, type Window } from './range'

const RAW_UP_TO_MS = 15 * 60_000
const TAIL_OVERLAP_MS = 5_000
const TAIL_EVERY_MS = 2_000
const TAIL_AT_MOST_MS = 30_000

/** `unit` is that of what is shown, `sourceUnit` that of the point. */
export type TrendPoint = Pick<SeriesColumns, 'series' | 'asset_path' | 'name' | 'type' | 'unit'> & { sourceUnit: string }

export function useTrend(state: Ref<TrendState>, pixels: Ref<number>) {
  const points = shallowRef<TrendPoint[]>([])
  const lines = shallowRef(new Map<number, Line>())
  const corrected = shallowRef(new Map<number, [number, number][]>())
  const events = shallowRef<NodeEvent[]>([])
  const alarms = shallowRef<Alarm[]>([])
  const error = shallowRef<ProblemError | null>(null)
  const loading = ref(false)
  const truncated = ref(false)
  const bucketS = ref<number | null>(null)
  const newest = ref<number | null>(null)
  const loaded = shallowRef<Window | null>(null)
  const series = computed(() => state.value.series)
  const latest = useLatest(series)
  let turn = 0
  let stop: AbortController | null = null
  let tailTimer: ReturnType<typeof setTimeout> | undefined

  /** What was known at a past time does not change any more. */
  const following = computed(() => state.value.live && state.value.range.kind === 'follow' && state.value.asOf === undefined)
  /** What is drawn: moves with the clock while following, else as loaded. */
  const window = computed<Window>(() => {
    if (following.value || !loaded.value) return resolveRange(state.value.range, now.value, newest.value)
    return loaded.value
  })

  async function query(body: Omit<SeriesQuery, 'series'>, signal?: AbortSignal): Promise<SeriesColumns[]> {
    const answer = await api.series.query({ series: series.value, ...body }, signal)
    truncated.value = answer.truncated
    return answer.series
  }

  /** The lines of an answer; where aggregates fill a silence it stays one. */
  async function linesOf(answer: readonly SeriesColumns[], asked: Omit<SeriesQuery, 'series'>, signal?: AbortSignal): Promise<Map<number, Line>> {
    const found = new Map(answer.map((columns) => [columns.series, lineOf(columns)]))
    const step = asked.step
    if (!fillsSilence(state.value.aggregate) || !step) return found
    const counts = await api.series.query({ series: series.value, ...asked, aggregate: 'count', quality: 'all' }, signal)
    for (const { series: id, times } of counts.series) {
      found.set(id, withoutSilence(found.get(id) ?? emptyLine(), times.map(toMs), step * 1000))
    }
    return found
  }

  function body(from: number, to: number, step: number | null): Omit<SeriesQuery, 'series'> {
    const range = { from: new Date(from).toISOString(), to: new Date(to).toISOString() }
    const known = state.value.asOf === undefined ? {} : { as_of: new Date(state.value.asOf).toISOString() }
    if (step === null) return { ...range, ...known }
    // Intervals of OPC UA begin where the range does: at a whole step, so that a later answer continues them.
    const start = new Date(Math.floor(from / (step * 1000)) * step * 1000).toISOString()
    return { ...range, ...known, from: start, aggregate: state.value.aggregate ?? 'minmax', step }
  }

  async function load(): Promise<void> {
    const mine = ++turn
    clearTimeout(tailTimer)
    stop?.abort()
    stop = new AbortController()
    if (series.value.length === 0) {
      points.value = []
      lines.value = new Map()
      events.value = []
      alarms.value = []
      loaded.value = null
      loading.value = false
      return
    }
    loading.value = true
    try {
      const heads = (await api.series.latest(series.value)).items
      if (mine !== turn) return
      newest.value = newestOf(heads)
      const range = resolveRange(state.value.range, Date.now(), newest.value)
      const length = range.to - range.from
      const chosen = state.value.aggregate
      let step: number | null = chosen || length > RAW_UP_TO_MS ? stepFor(range, pixels.value) : null
      // A little more to the left, so that the lines enter the picture from its edge.
      let asked = body(range.from - length * 0.02, range.to, step)
      let answer = await query(asked, stop.signal)
      if (step !== null && !chosen && answer.every((columns) => sparse(lineOf(columns), step ?? 0))) {
        step = null
        asked = body(range.from - length * 0.02, range.to, null)
        answer = await query(asked, stop.signal)
      }
      const drawn = await linesOf(answer, asked, stop.signal)
      if (mine !== turn) return
      bucketS.value = step
      points.value = answer.map(({ series: id, asset_path, name, type, unit }) => ({ series: id, asset_path, name, type, unit: unitOf(chosen, unit), sourceUnit: unit }))
      lines.value = drawn
      loaded.value = range
      error.value = null
      corrected.value = new Map()
      if (state.value.asOf !== undefined && step === null) void loadCorrections(range, mine)
      void loadMarks(range, mine)
    } catch (caught) {
      if (mine === turn) error.value = asProblem(caught)
    }
    if (mine !== turn) return
    loading.value = false
    planTail()
  }

  function sparse(line: Line, step: number): boolean {
    return line.times.length === 0 || (medianStep(line.times) ?? Infinity) >= step * 1000
  }

  function newestOf(heads: readonly (LatestOfSeries | null)[]): number | null {
    const times = heads.filter((head) => head !== null).map((head) => Date.parse(head.time)).filter(Number.isFinite)
    return times.length ? Math.max(...times) : null
  }

  async function loadMarks(range: Window, mine: number): Promise<void> {
    const assets = [...new Set(points.value.map((point) => point.asset_path))]
    const from = new Date(range.from).toISOString()
    const to = new Date(range.to + 3_600_000).toISOString()
    const [foundEvents, foundAlarms] = await Promise.all([
      Promise.all(assets.map((asset) => api.events({ asset, from, to, limit: 500 }).catch(() => []))),
      Promise.all(assets.map((asset) => api.alarms.list({ state: 'all', asset, limit: 200 }).then((page) => page.items, () => []))),
    ])
    if (mine !== turn) return
    events.value = [...new Map(foundEvents.flat().map((event) => [event.id, event])).values()]
    alarms.value = [...new Map(foundAlarms.flat().filter(ofOurs).map((alarm) => [alarm.id, alarm])).values()]
  }

  /** Values that have been corrected since: what is shown differs from what is known now. */
  async function loadCorrections(range: Window, mine: number): Promise<void> {
    try {
      const span = { from: new Date(range.from).toISOString(), to: new Date(range.to).toISOString() }
      const now = await api.series.query({ series: series.value, ...span })
      if (mine !== turn) return
      corrected.value = new Map(now.series.map((columns) => [columns.series, differing(lines.value.get(columns.series) ?? emptyLine(), lineOf(columns))]))
    } catch (caught) {
      if (mine === turn) error.value = asProblem(caught)
    }
  }

  const ofOurs = (alarm: Alarm) => series.value.includes(alarm.series)

  function planTail(): void {
    clearTimeout(tailTimer)
    if (!following.value || series.value.length === 0) return
    const wait = Math.min(TAIL_AT_MOST_MS, Math.max(TAIL_EVERY_MS, ((bucketS.value ?? 0) * 1000) / 2))
    tailTimer = setTimeout(tail, loaded.value?.replay ? TAIL_EVERY_MS : wait)
  }

  async function tail(): Promise<void> {
    const mine = turn
    if (document.hidden) return planTail()
    try {
      const heads = (await api.series.latest(series.value)).items
      if (mine !== turn) return
      const before = newest.value
      newest.value = newestOf(heads)
      const range = resolveRange(state.value.range, Date.now(), newest.value)
      if (!range.replay || newest.value !== before) {
        const ends = points.value.map((point) => lines.value.get(point.series)?.times.at(-1) ?? range.from)
        const bucketMs = (bucketS.value ?? 0) * 1000
        const oldest = Math.max(range.from, Math.min(...ends) - TAIL_OVERLAP_MS - bucketMs)
        const from = bucketMs ? Math.floor(oldest / bucketMs) * bucketMs : oldest
        const asked = body(from, range.to, bucketS.value)
        const newer = await linesOf(await query(asked), asked)
        if (mine !== turn) return
        const next = new Map(lines.value)
        for (const [id, line] of newer) next.set(id, trimmed(mergeTail(next.get(id) ?? emptyLine(), line), range.from))
        lines.value = next
      }
      loaded.value = range
      error.value = null
    } catch (caught) {
      if (mine === turn) error.value = asProblem(caught)
    }
    if (mine === turn) planTail()
  }

  // Between two tails the stream's latest values extend the lines.
  watch(
    () => series.value.map((id) => latest.get(id)?.time).join(),
    () => {
      if (!following.value || loading.value || loaded.value?.replay || state.value.aggregate || (bucketS.value ?? 0) > 5) return
      const next = new Map(lines.value)
      for (const id of series.value) {
        const value = latest.get(id)
        const line = next.get(id)
        if (value && line) next.set(id, appendLatest(line, { series: id, ...value }))
      }
      lines.value = next
    },
  )

  useAlarmChanges((alarm) => {
    if (ofOurs(alarm)) alarms.value = [...alarms.value.filter((held) => held.id !== alarm.id), alarm]
  })

  const request = computed(() => JSON.stringify([state.value.series, state.value.range, state.value.live, state.value.aggregate, state.value.asOf]))
  watch(request, load, { immediate: true })
  onScopeDispose(() => {
    turn += 1
    stop?.abort()
    clearTimeout(tailTimer)
  })

  return { points, lines, corrected, events, alarms, error, loading, truncated, bucketS, window, latest, reload: load }
}

export type Trend = ReturnType<typeof useTrend>
