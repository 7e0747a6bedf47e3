import { createRouter, createWebHistory } from 'vue-router'
import { ProblemError } from '@/api/http'
import { session } from '@/api/session'
import { tellProblem } from '@/components/problem'
import { PAGES } from '@/pages/routes'
import SignInPage from '@/pages/signin/SignInPage.vue'
import ConsoleShell from '@/shell/ConsoleShell.vue'

export const router = createRouter({
  history: createWebHistory('/'),
  routes: [
    { path: '/sign-in', component: SignInPage },
    { path: '/', component: ConsoleShell, children: PAGES },
  ],
  scrollBehavior: (to, from, saved) => saved ?? (to.path === from.path ? false : { top: 0 }),
})

/** Only a path of this console may follow a sign-in, never another address. */
export function safeNext(next: unknown): string {
  return typeof next === 'string' && /^\/(?![/\\])/.test(next) && !next.startsWith('/sign-in') ? next : '/overview'
}

router.beforeEach(async (to) => {
  let user = null
  try {
    user = await session.restore()
  } catch {
    // The node does not answer: the sign-in page says so when it is used.
  }
  const settled = user !== null && !user.must_change_password
  if (to.path === '/sign-in') return settled ? safeNext(to.query.next) : true
  return settled ? true : { path: '/sign-in', query: to.fullPath === '/' ? {} : { next: to.fullPath } }
})

const RELOADED = 'gongfu.reloaded'

// A page that does not load: the node is away (say so, stay here), or it was upgraded and the files of this console are
// gone (load the new one, but never in a circle).
router.onError(async (error, to) => {
  if (!/dynamically imported module|module script|preload/i.test(String(error))) return
  const answer = await fetch('/v1/health').catch(() => null)
  if (!answer?.ok) return void tellProblem(new ProblemError(0, 'unreachable', '', ''))
  if (Date.now() - Number(sessionStorage.getItem(RELOADED) ?? 0) < 10_000) return
  sessionStorage.setItem(RELOADED, String(Date.now()))
  window.location.assign(to.fullPath)
})
