import { createApp, watch } from 'vue'
import App from './App.vue'
import { session } from './api/session'
import './design/element'
import './design/tokens.css'
import './design/base.css'
import { startTheme } from './design/theme'
import { i18n, language } from './i18n'
import { router } from './router'

startTheme()
document.documentElement.lang = language.value === 'zh' ? 'zh-CN' : 'en'

watch(session.user, (user, before) => {
  if (!user && before) {
    const here = router.currentRoute.value.fullPath
    void router.push({ path: '/sign-in', query: { next: here } })
  }
})

createApp(App).use(i18n).use(router).mount('#app')
