/** The form of an order in waves, and what the API takes. */

import type { NewRollout, OnFailure } from '@/api/rollouts'

export interface WaveForm {
  on: boolean
  canaries: string
  /** Per cent of all targets, between commas. */
  shares: string
  verified: string
  /** Minutes. */
  within: string
  soak: string
  failure: OnFailure
}

export function emptyWaves(on: boolean): WaveForm {
  return { on, canaries: '1', shares: '10, 50', verified: '100', within: '60', soak: '0', failure: 'all' }
}

type Waves = Pick<NewRollout, 'canaries' | 'shares' | 'verified_share' | 'within_seconds' | 'soak_seconds' | 'on_failure'>

/** What the form says, or null when it does not say it properly. */
export function wavesOf(form: WaveForm): Waves | null {
  const canaries = Number(form.canaries)
  const shares = form.shares.split(/[,，、\s]+/).filter(Boolean).map((text) => Number(text.replace('%', '')) / 100)
  const verified = Number(form.verified.replace('%', '')) / 100
  const within = Number(form.within) * 60
  const soak = Number(form.soak) * 60
  const share = (value: number) => value > 0 && value <= 1
  const right = Number.isInteger(canaries) && canaries >= 1 && shares.every(share) && share(verified) && within > 0 && soak >= 0
  return right ? { canaries, shares, verified_share: verified, within_seconds: within, soak_seconds: soak, on_failure: form.failure } : null
}
