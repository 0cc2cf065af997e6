// Owns the table of forms, in the order in which a record is compared with them.

import type { Form } from './form.js'
import { LINE_FORMS } from './lines.js'
import { LIST_FORMS } from './lists.js'
import { REQUEST_FORMS } from './requests.js'
import { TREE_FORMS } from './trees.js'

/** The known forms, the more special ones first. */
export const FORMS: readonly Form[] = [...TREE_FORMS, ...REQUEST_FORMS, ...LIST_FORMS, ...LINE_FORMS]

/** Kinds of files, independent of what their records are. */
export const CONTAINERS = ['json', 'jsonl', 'csv'] as const
export type Container = (typeof CONTAINERS)[number]

/** The form that a record looks like. */
export function formOf(record: unknown): Form | undefined {
  return FORMS.find((form) => form.matches(record))
}

/** The form of that name. */
export function formNamed(name: string): Form | undefined {
  return FORMS.find((form) => form.name === name)
}
