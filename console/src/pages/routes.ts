/** All pages of the console. A new page is a folder here, a route below, and its words in `messages.ts`. */

import type { RouteRecordRaw } from 'vue-router'
import type { IconName } from '@/components/icons'
import { withWords } from './words'

export interface NavEntry {
  path: string
  icon: IconName
  /** Key of its word below `nav`. */
  word: string
}

export const NAVIGATION: readonly NavEntry[] = [
  { path: '/overview', icon: 'overview', word: 'overview' },
  { path: '/alarms', icon: 'alarms', word: 'alarms' },
  { path: '/trend', icon: 'trend', word: 'trend' },
  { path: '/assets', icon: 'assets', word: 'assets' },
  { path: '/devices', icon: 'devices', word: 'devices' },
  { path: '/connections', icon: 'connections', word: 'connections' },
  { path: '/thing-models', icon: 'thing_models', word: 'thing_models' },
  { path: '/rules', icon: 'rules', word: 'rules' },
  { path: '/models', icon: 'models', word: 'models' },
  { path: '/apps', icon: 'apps', word: 'apps' },
  { path: '/store', icon: 'store', word: 'store' },
  { path: '/tree', icon: 'tree', word: 'tree' },
  { path: '/orders', icon: 'orders', word: 'orders' },
  { path: '/reports', icon: 'reports', word: 'reports' },
  { path: '/identifiers', icon: 'identifiers', word: 'identifiers' },
  { path: '/sql', icon: 'sql', word: 'sql' },
  { path: '/demo', icon: 'demo', word: 'demo' },
  { path: '/administration', icon: 'administration', word: 'administration' },
]

export const PAGES: RouteRecordRaw[] = [
  { path: '/', redirect: '/overview' },
  { path: '/overview', component: () => import('./overview/OverviewPage.vue') },
  { path: '/devices', component: () => import('./devices/DevicesPage.vue') },
  { path: '/devices/:id', component: () => import('./devices/DevicePage.vue'), props: true },
  { path: '/connections', component: withWords(['connections'], () => import('./connections/ConnectionsPage.vue')) },
  { path: '/connections/new', component: withWords(['connections'], () => import('./connections/WizardPage.vue')) },
  { path: '/connections/opcua', component: withWords(['connections'], () => import('./connections/CertificatesPage.vue')) },
  { path: '/connections/sparkplug', component: withWords(['connections'], () => import('./connections/SparkplugPage.vue')) },
  { path: '/connections/:id', component: withWords(['connections'], () => import('./connections/ConnectionPage.vue')), props: true },
  { path: '/thing-models', component: withWords(['thing_models'], () => import('./thing-models/ThingModelsPage.vue')) },
  { path: '/thing-models/:name', component: withWords(['thing_models'], () => import('./thing-models/ThingModelPage.vue')), props: true },
  { path: '/assets/:id?', component: () => import('./assets/AssetsPage.vue'), props: true },
  { path: '/trend', component: () => import('./trend/TrendPage.vue') },
  { path: '/alarms', component: withWords(['alarm_management'], () => import('./alarms/AlarmsPage.vue')) },
  { path: '/alarms/suppressed', component: withWords(['alarm_management'], () => import('./alarms/SuppressionPage.vue')) },
  { path: '/alarms/kpi', component: withWords(['alarm_management'], () => import('./alarms/KpiPage.vue')) },
  { path: '/alarms/master', component: withWords(['alarm_management'], () => import('./alarms/MasterPage.vue')) },
  { path: '/alarms/notifications', component: withWords(['alarm_management'], () => import('./alarms/NotificationsPage.vue')) },
  { path: '/rules', component: () => import('./rules/RulesPage.vue') },
  { path: '/models', component: withWords(['models'], () => import('./models/ModelsPage.vue')) },
  { path: '/models/:id', component: withWords(['models'], () => import('./models/ModelPage.vue')), props: true },
  { path: '/apps', component: withWords(['apps'], () => import('./apps/AppsPage.vue')) },
  { path: '/apps/:id', component: withWords(['apps'], () => import('./apps/AppPage.vue')), props: true },
  { path: '/store', component: withWords(['store'], () => import('./store/StorePage.vue')) },
  { path: '/store/apps/:id', component: withWords(['store'], () => import('./store/StoreAppPage.vue')), props: true },
  { path: '/store/review', component: withWords(['store'], () => import('./store/ReviewPage.vue')) },
  { path: '/store/versions/:id', component: withWords(['store'], () => import('./store/VersionPage.vue')), props: true },
  { path: '/store/publishers', component: withWords(['store', 'orders'], () => import('./store/PublishersPage.vue')) },
  { path: '/store/statements', component: withWords(['store'], () => import('./store/StatementsPage.vue')) },
  { path: '/store/calls', component: withWords(['store', 'orders'], () => import('./store/CallsPage.vue')) },
  { path: '/store/calls/:id', component: withWords(['store'], () => import('./store/ContractPage.vue')), props: true },
  { path: '/tree/:id?', component: withWords(['tree'], () => import('./tree/TreePage.vue')), props: true },
  { path: '/orders', component: withWords(['orders'], () => import('./orders/OrdersPage.vue')) },
  { path: '/orders/new', component: withWords(['orders'], () => import('./orders/DraftPage.vue')) },
  { path: '/orders/rollouts', component: withWords(['orders'], () => import('./orders/RolloutsPage.vue')) },
  { path: '/orders/:id', component: withWords(['orders'], () => import('./orders/OrderPage.vue')), props: true },
  { path: '/orders/:id/edit', component: withWords(['orders'], () => import('./orders/DraftPage.vue')), props: true },
  { path: '/reports', component: withWords(['reports', 'tree'], () => import('./reports/ReportsPage.vue')) },
  { path: '/identifiers/:part?', component: withWords(['identifiers'], () => import('./identifiers/IdentifiersPage.vue')), props: true },
  { path: '/sql', component: () => import('./sql/SqlPage.vue') },
  { path: '/demo/:part?', component: withWords(['alarm_management'], () => import('./demo/DemoPage.vue')), props: true },
  { path: '/administration/:part?', component: () => import('./administration/AdministrationPage.vue'), props: true },
  { path: '/:rest(.*)*', component: () => import('./MissingPage.vue') },
]
