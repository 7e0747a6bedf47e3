/** Problems in words: ours for what we know, the node's own detail beside them. */

import { ElMessage } from 'element-plus'
import { i18n } from '@/i18n'
import { asProblem } from './load'
import type { ProblemError } from '@/api/http'

const KNOWN = new Set(['unreachable', 'timeout', 'unexpected', 'not-found', 'forbidden', 'unauthenticated', 'unavailable', 'conflict', 'invalid-request'])

export function problemText(problem: ProblemError, t: (key: string) => string): { title: string; detail: string } {
  const title = KNOWN.has(problem.code) ? t(`problem.${problem.code}`) : (refusal(problem.code) ?? (problem.title || t('problem.unexpected')))
  return { title, detail: problem.detail }
}

function refusal(code: string): string | null {
  const { t, te } = i18n.global
  return te(`reason.${code}`) ? t(`reason.${code}`) : null
}

/** A reason code in words; one that we do not know (a newer node's) as it is. */
export function reasonText(code: string): string {
  return refusal(code) ?? code
}

/** Whether something is not there because this node is in no tree. */
export function isTreeless(problem: ProblemError | null): boolean {
  return problem?.code === 'not-in-a-tree'
}

/** Show what went wrong with an action, and return false. */
export function tellProblem(error: unknown): false {
  const { title, detail } = problemText(asProblem(error), i18n.global.t)
  ElMessage({ type: 'error', message: detail ? `${title}: ${detail}` : title, duration: 8000, showClose: true, grouping: true })
  return false
}

export function tellDone(message: string): void {
  ElMessage({ type: 'success', message, duration: 3000 })
}
