/** Documents of the REST API (docs: /v1/openapi.json). Times are RFC 3339 text in UTC. */

export type Role = 'admin' | 'engineer' | 'operator' | 'viewer'
export type Priority = 'critical' | 'high' | 'medium' | 'low'
export type Language = 'zh' | 'en'

export interface Page<T> {
  items: T[]
  next: string | null
}

export interface SessionUser {
  id: number
  name: string
  role: Role
  tenant: { id: number; name: string }
  language: string | null
  must_change_password: boolean
}

export interface RoleProcess {
  role: string
  pid: number | null
  state: string
  restarts: number
  cpu_percent: number | null
  rss_bytes: number | null
  started_at: string | null
}

export interface RateSample {
  time: string
  points: number
  messages: number
  shed: number
  rejected: number
}

export interface Overview {
  time: string
  node: { name: string; version: string; started_at: string }
  rates: { messages: number; points: number; stored: number; rejected: number; shed: number }
  totals: {
    devices: number
    devices_online: number
    assets: number
    points: number
    connections: number
    messages: number
    points_accepted: number
    points_stored: number
    rejected: Record<string, number>
    shed: Record<string, number>
    alarms: { unacknowledged: number; acknowledged: number; returned: number }
  }
  lag: {
    history_blocks: number | null
    history_seconds: number | null
    reason_blocks: number | null
    commit_ms_p50: number | null
    commit_ms_p99: number | null
  }
  roles: RoleProcess[]
  disk: { free_bytes: number; data_bytes: number | null }
  history?: RateSample[]
}

export interface Device {
  id: number
  name: string
  asset_id: number
  asset_path: string
  enabled: boolean
  online: boolean
  connected_at: string | null
  address: string | null
  client_id: string | null
  protocol: string | null
  last_seen: string | null
  points: number | null
  rejected: number | null
  shed: number | null
  publish_filters: string[]
  subscribe_filters: string[]
  quota: Quota | null
  created_at: string
}

/** What is set for one device or tenant; null is the setting of the node, 0 is no limit. */
export interface Quota {
  points_per_second: number | null
  messages_per_second: number | null
  bytes_per_second: number | null
  burst_seconds: number | null
  policy: 'delay' | 'shed' | null
}

/** What a device sends over MQTT now. */
export interface Usage {
  points_per_second: number
  messages_per_second: number
  bytes_per_second: number
  connections: number
  connections_delayed: number
  delayed_ms: Record<string, number>
}

export interface Asset {
  id: number
  name: string
  path: string
  parent_id: number | null
  type: string
  attributes: Record<string, unknown>
  children: number
  points: number
  created_at: string
}

export type PointValue = number | string | boolean | null

export interface Latest {
  value: PointValue
  quality: number | string
  time: string
  ingested_at?: string | null
}

export interface LatestOfSeries extends Latest {
  series: number
}

export interface Point {
  series: number
  asset_id: number
  asset_path: string
  name: string
  type: string
  unit: string
  description: string
  latest: Latest | null
}

export interface SeriesQuery {
  series: number[]
  from: string
  to: string
  order?: 'asc' | 'desc'
  limit?: number
  /** A name of Gongfu's own or of OPC UA Part 13. */
  aggregate?: string
  step?: number
  quality?: 'all' | 'good'
  /** What the history knew then. */
  as_of?: string
}

export interface SeriesColumns {
  series: number
  asset_path: string
  name: string
  type: string
  unit: string
  times: (number | string)[]
  values: PointValue[]
  qualities?: (number | string)[]
}

export interface SeriesAnswer {
  series: SeriesColumns[]
  truncated: boolean
}

export type RuleKind = 'threshold' | 'rate' | 'absence' | 'window' | 'pattern' | 'deviation'

export interface RuleCondition {
  direction?: 'above' | 'below' | 'either'
  limit?: number
  deadband?: number
  delay_s?: number
  off_delay_s?: number
  per_s?: number
  window_s?: number
  timeout_s?: number
  window?: 'tumbling' | 'sliding' | 'session'
  aggregate?: string
  size_s?: number | null
  every_s?: number | null
  gap_s?: number | null
  expression?: string | null
  sequence?: string[] | null
  within_s?: number | null
  tolerance_s?: number
  against?: 'median' | 'mean'
  among?: 'siblings' | 'all'
  relative?: boolean
  at_least?: number
}

export interface RuleStatus {
  series: number
  active: number
  evaluated: number
  error: string | null
  late?: number
  bad?: number
  waiting?: number
  withheld?: number
}

export interface RuleDraft {
  name: string
  enabled: boolean
  kind: RuleKind
  asset: string
  point: string
  condition: RuleCondition
  priority: Priority
  message: string
  unit?: string
  lateness_s?: number | null
}

export interface Rule extends RuleDraft {
  id: number | string
  owner?: string
  status?: RuleStatus | null
}

export interface AppliedRules {
  items: { name: string; id: number; change: 'created' | 'updated' | 'unchanged'; status: RuleStatus | null }[]
  dry_run: boolean
}

export interface WouldBeAlarm {
  series: number
  asset_path: string
  point: string
  raised_at: string
  returned_at: string | null
  value: number | null
}

export interface BacktestResult {
  series: number
  samples: number
  left_out: number
  raised: number
  alarms: WouldBeAlarm[]
  more: number
  days: { day: string; raised: number }[]
  standing: number
  chattering: number
  peak: number
  durations: { median: number; p95: number; longest: number; total: number } | null
  offenders: { series: number; asset_path: string; point: string; raised: number; chattering: number; active_s: number }[]
  comparison: { real: number; both: number; new: number; missed: number } | null
  seconds: number
}

export interface Backtest {
  id: string
  state: 'running' | 'done' | 'failed' | 'cancelled'
  progress: number
  samples: number
  name: string
  from: string
  to: string
  started_at: string
  error: string
  warning: string
  result: BacktestResult | null
}

export type AlarmState =
  | 'unacknowledged_active'
  | 'acknowledged_active'
  | 'unacknowledged_returned'
  | 'latched_unacknowledged'
  | 'latched_acknowledged'
  | 'shelved'
  | 'suppressed_by_design'
  | 'out_of_service'
  | 'closed'

export interface JournalEntry {
  time: string
  change: string
  by: string | null
  comment: string | null
  value: PointValue
}

export interface Alarm {
  id: string
  rule_id: number | string
  rule_name: string
  series: number
  asset_path: string
  point: string
  priority: Priority
  state: AlarmState
  message: string
  /** In Chinese; empty when there is only `message`. */
  message_zh?: string
  value: PointValue
  limit: number | null
  unit: string
  raised_at: string
  acknowledged_at: string | null
  acknowledged_by: string | null
  returned_at: string | null
  closed_at: string | null
  source?: string
  source_key?: string
  latching?: boolean
  annunciated_at?: string | null
  suppressed_by?: number | null
  journal?: JournalEntry[]
}

export interface ModelPort {
  name: string
  unit: string
  point: string
}

export interface ModelBinding {
  asset_path: string
  status: string
  error: string | null
  evaluated: number | null
  last_at: string | null
}

export interface Model {
  id: string
  name: string
  version: string
  description: string
  inputs: ModelPort[]
  outputs: ModelPort[]
  bindings: ModelBinding[]
}

export interface NodeEvent {
  id: string
  asset_path: string
  kind: string
  from: string
  to: string
  text: string
  source: string
}

export interface User {
  id: number
  name: string
  role: Role
  tenant_id: number
  tenant_name: string
  enabled: boolean
  must_change_password: boolean
  created_at: string
}

/** The password is there only when the node has just made one; it is shown once. */
export interface UserWithPassword {
  user: User
  password: string | null
}

export interface Tenant {
  id: number
  name: string
  created_at: string
}

export interface Drop {
  device: string | null
  device_id: number
  kind: string
  reason: string
  count: number
  last_at: string
  last_detail: string
}

export interface AuditEntry {
  id: number
  time: string
  user: string
  action: string
  resource: string
  detail: string
}

export interface SqlAnswer {
  columns: { name: string; type: string }[]
  rows: unknown[][]
  truncated: boolean
  elapsed_ms: number
}
