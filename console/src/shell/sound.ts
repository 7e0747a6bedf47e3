/** Alarm sound; off until somebody switches it on in this browser. */

import { ref, watch } from 'vue'
import type { Priority } from '@/api/types'

const KEY = 'gongfu.sound'
export const sound = ref(typeof localStorage !== 'undefined' && localStorage.getItem(KEY) === 'on')
watch(sound, (on) => localStorage.setItem(KEY, on ? 'on' : 'off'))

const pitch: Record<Priority, number> = { critical: 880, high: 660, medium: 520, low: 440 }
let context: AudioContext | null = null

export function beep(priority: Priority): void {
  context ??= new AudioContext()
  const tone = context.createOscillator()
  const level = context.createGain()
  tone.frequency.value = pitch[priority]
  level.gain.setValueAtTime(0.12, context.currentTime)
  level.gain.exponentialRampToValueAtTime(0.001, context.currentTime + 0.35)
  tone.connect(level).connect(context.destination)
  tone.start()
  tone.stop(context.currentTime + 0.4)
}
