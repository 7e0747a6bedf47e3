/** What a state of a version looks like. */
import type { ModelState } from '@/api/thingModels'

export const MARKS = { draft: 'off', published: 'on', retired: 'disabled' } as const satisfies Record<ModelState, string>
