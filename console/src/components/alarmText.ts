/** The text of an alarm in the language of the user; alarms of apps may have one in Chinese, too. */

import { language } from '@/i18n'

export function alarmText(alarm: { message: string; message_zh?: string }): string {
  return (language.value === 'zh' && alarm.message_zh) || alarm.message
}
