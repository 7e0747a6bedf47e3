/** States and steps of applications, in the order in which people meet them. */

import type { ApplicationState, ApplicationStep } from '@/api/identifiers'

export const APPLICATION_STATES: readonly ApplicationState[] = ['submitted', 'draft', 'returned', 'approved', 'suspended', 'refused', 'revoked']

/** Steps that take something away, or send something back: they need words. */
export const STEPS_WITH_WORDS: ReadonlySet<ApplicationStep> = new Set(['return', 'refuse', 'suspend', 'revoke'])
/** Steps of the reviewer. */
export const REVIEW_STEPS: ReadonlySet<ApplicationStep> = new Set(['return', 'refuse', 'approve', 'suspend', 'resume', 'revoke'])
export const DOCUMENT_KINDS = ['business-licence', 'authorisation', 'identity', 'other'] as const
