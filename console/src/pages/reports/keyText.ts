/** Values of keys as people read them: regions carry the name of their province. */

import { i18n } from '@/i18n'
import { provinceOf } from '@/pages/tree/provinces'

export function keyText(key: string, value: string): string {
  const { t } = i18n.global
  if (value === '') return t('reports.withheld')
  const province = key === 'region' ? provinceOf(value) : null
  return province ? `${value} ${t(`tree.province_${province}`)}` : value
}
