/** What the trend can show of each interval instead of its minimum and maximum. Pure. */

/** Names of the API: Gongfu's own, and those of OPC UA Part 13. Their words are `trend.how_<name>`. */
export const AGGREGATES = [
  'avg', 'min', 'max', 'last', 'count',
  'Interpolative', 'TimeAverage2', 'Total2', 'Minimum2', 'Maximum2', 'Range2', 'StandardDeviationSample',
  'PercentGood', 'PercentBad', 'DurationGood', 'DurationInStateNonZero', 'NumberOfTransitions',
] as const
export type TrendAggregate = (typeof AGGREGATES)[number]

export function aggregateOf(text: unknown): TrendAggregate | undefined {
  return AGGREGATES.find((name) => name === text)
}

/** Aggregates of OPC UA give a value for every interval, also where nothing came in. */
export function fillsSilence(aggregate: TrendAggregate | undefined): boolean {
  return aggregate !== undefined && /^[A-Z]/.test(aggregate)
}

/** Unit of the result: durations are milliseconds, counts have none. */
export function unitOf(aggregate: TrendAggregate | undefined, unit: string): string {
  if (!aggregate) return unit
  if (aggregate === 'count' || aggregate === 'NumberOfTransitions') return ''
  if (aggregate.startsWith('Percent')) return '%'
  if (aggregate.startsWith('Duration')) return 'ms'
  if (aggregate === 'Total2') return unit ? `${unit}.s` : 's'
  return unit
}
