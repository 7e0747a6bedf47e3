/** What is to be thought of a record, as a mark. */

export type TrustKind = 'on' | 'off' | 'fail' | 'warn'

const KINDS: Record<string, TrustKind> = { verified: 'on', trusted: 'on', signed: 'warn', failed: 'fail', broken: 'fail' }

export function trustKind(state: string): TrustKind {
  return KINDS[state] ?? 'off'
}

/** States of the API by the names of their words. */
export function trustWord(state: string): string {
  if (state === 'trusted') return 'verified'
  if (state === 'broken') return 'failed'
  return ['verified', 'signed', 'failed', 'unsigned'].includes(state) ? state : 'unchecked'
}
