// Owns the fitting of policies: a head and a threshold each, and the threshold of role drift, set on ordinary conversations.
// Knows vectors; no file format.

import { GabionError } from '../../errors.js'
import type { EmbedderFingerprint } from '../erosion/artifact.js'
import { fewestConversations, thresholdFor, type Threshold } from '../erosion/thresholds.js'
import type { PolicyFile, PolicyText } from './policy-file.js'
import { fitPolicyHead, scorePolicy, type ExampleVectors, type PolicyHead } from './policy-head.js'
import { embedded, type LogConversation, type LogReading } from './policy-log.js'
import { nextRole, ROLE_START } from './role-drift.js'

/** A fitted policy. */
export interface ReadyPolicy {
  readonly name: string
  readonly statement: string
  /** Short forms of the breaking examples, in the order of the head's. */
  readonly examples: readonly string[]
  readonly head: PolicyHead
  readonly threshold: Threshold
}

/** The policies of a {@link GuardedDetector}. */
export interface PolicySet {
  readonly embedder: EmbedderFingerprint
  readonly windows: { readonly size: number; readonly stride: number }
  /** Those with examples. */
  readonly policies: readonly ReadyPolicy[]
  /** Those that are their statement alone. */
  readonly statements: readonly { readonly name: string; readonly statement: string }[]
  /** Null where too few ordinary conversations are long enough to set a threshold on. */
  readonly role: RoleWatch | null
}

/** Settings of role drift. */
export interface RoleWatch {
  /** Unit vector of the system prompt; null without one. */
  readonly prompt: ArrayLike<number> | null
  readonly threshold: Threshold
  /** Whether it raises an alert; else it raises the level to elevated. */
  readonly alert: boolean
}

/** A policy with its vectors, before the fit. */
export interface PolicyMaterial {
  readonly text: PolicyText
  readonly breaks: readonly ExampleVectors[]
  readonly allowed: readonly ExampleVectors[]
}

/** Ordinary exchanges that a head is fitted on; more only add time. */
const MAX_ORDINARY = 1500
const FOLDS = 5

/** Embeds the examples of a file; policies without any are left out. */
export async function embedPolicies(file: PolicyFile, reading: LogReading): Promise<PolicyMaterial[]> {
  const exemplified = file.policies.filter(({ breaks }) => breaks.length > 0)
  const texts = exemplified.flatMap(({ breaks, allowed }) => [...breaks, ...allowed].flatMap(({ user, reply }) => [user, reply]))
  await reading.store.add([...texts, file.assistant], reading.signal === undefined ? {} : { signal: reading.signal })
  return exemplified.map((text) => ({
    text,
    breaks: text.breaks.map(({ user, reply }) => embedded(user, reply, reading)),
    allowed: text.allowed.map(({ user, reply }) => embedded(user, reply, reading)),
  }))
}

/**
 * Fits a head and sets a threshold for each policy. Thresholds are set on out-of-fold scores of ordinary conversations (five
 * folds), since a head's scores of the conversations that it was fitted on are too low.
 *
 * @throws GabionError `INVALID_ARGUMENT` when there are too few ordinary conversations for the budget
 */
export function readyPolicies(
  file: PolicyFile,
  materials: readonly PolicyMaterial[],
  ordinary: readonly LogConversation[],
  reading: LogReading,
  { onPolicy, ...parts }: Pick<PolicySet, 'embedder' | 'windows'> & { onPolicy?: (done: number) => void },
): PolicySet {
  const statements = statementsOf(file)
  if (materials.length === 0) return { ...parts, policies: [], statements, role: null }
  const fewest = fewestConversations(file.budget)
  if (ordinary.length < fewest) {
    throw new GabionError(
      'INVALID_ARGUMENT',
      `${file.file}: a budget of ${String(100 * file.budget)} % needs at least ${String(fewest)} ordinary conversations, got ${String(ordinary.length)}; give more, or raise 'budget'`,
    )
  }
  const { dimensions } = reading.store
  const policies = materials.map((material, at): ReadyPolicy => {
    onPolicy?.(at)
    const { text, breaks, allowed } = material
    const elsewhere = allowedElsewhere(materials, material)
    const head = fitPolicyHead(breaks, allowed, [...elsewhere, ...thinned(ordinary)], dimensions)
    const maxima = ordinary.map(() => -Infinity)
    for (let fold = 0; fold < FOLDS; fold++) {
      const others = ordinary.filter((_, index) => index % FOLDS !== fold)
      const without = fitPolicyHead(breaks, allowed, [...elsewhere, ...thinned(others)], dimensions, head)
      for (const [index, conversation] of ordinary.entries())
        if (index % FOLDS === fold) maxima[index] = highestScore(without, conversation)
    }
    return {
      name: text.name,
      statement: text.statement,
      examples: text.breaks.map(inShort),
      head,
      threshold: thresholdFor(maxima, file.budget),
    }
  })
  return { ...parts, policies, statements, role: readyRole(file, ordinary, reading) }
}

/** The policies that are their statement alone. */
function statementsOf({ policies }: PolicyFile): PolicySet['statements'] {
  return policies.flatMap(({ name, statement, breaks }) => (breaks.length === 0 ? [{ name, statement }] : []))
}

function readyRole(file: PolicyFile, ordinary: readonly LogConversation[], { store }: LogReading): RoleWatch | null {
  const prompt = file.assistant === '' ? null : store.vector(file.assistant)
  const distances = ordinary.flatMap((conversation) => farthest(conversation, prompt) ?? [])
  if (distances.length < fewestConversations(file.budget)) return null
  return { prompt, threshold: thresholdFor(distances, file.budget), alert: file.roleAlert }
}

/** Allowed examples of other policies, which are ordinary for this one and show how the assistant declines. */
export function allowedElsewhere(materials: readonly PolicyMaterial[], material: PolicyMaterial): ExampleVectors[] {
  return materials.flatMap((other) => (other === material ? [] : other.allowed))
}

/** The highest score of a conversation's exchanges; -Infinity when it has none. */
export function highestScore(head: PolicyHead, { exchanges }: LogConversation): number {
  return exchanges.reduce((highest, exchange) => Math.max(highest, scorePolicy(head, exchange).score), -Infinity)
}

/** A conversation's largest distance from the role; null for one that is too short. */
export function farthest({ exchanges }: LogConversation, prompt: ArrayLike<number> | null): number | null {
  let state = ROLE_START
  let largest: number | null = null
  for (const { user, reply } of exchanges) {
    const step = nextRole(state, prompt, user, reply)
    state = step.state
    if (step.distance !== null) largest = Math.max(largest ?? 0, state.smoothed)
  }
  return largest
}

/** At most {@link MAX_ORDINARY} exchanges, evenly spaced. */
function thinned(conversations: readonly LogConversation[]): ExampleVectors[] {
  const all = conversations.flatMap(({ exchanges }) => exchanges)
  const step = Math.max(1, all.length / MAX_ORDINARY)
  return Array.from({ length: Math.min(all.length, MAX_ORDINARY) }, (_, index) => all[Math.floor(index * step)]!)
}

const MAX_EXAMPLE_LENGTH = 70

function inShort({ reply }: { readonly reply: string }): string {
  return reply.length <= MAX_EXAMPLE_LENGTH ? reply : `${reply.slice(0, MAX_EXAMPLE_LENGTH - 1).replace(/\s+\S*$/, '')} …`
}
