// Reads the written conversations of deployments, and says which ones fold 1 leaves out of training.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** A reply to a message, with its label and the rule that it breaks or gives way on. */
export interface WrittenReply {
  readonly assistant: string
  readonly label: 'ok' | 'waver' | 'break'
  readonly rule: string | null
}

/** One exchange; `pressure` is the user's, 0 to 2. */
export interface WrittenExchange extends WrittenReply {
  readonly user: string
  readonly pressure: number
  /** Another reply to the same message, of which the opposite is true; the conversation goes on after `assistant`. */
  readonly alt?: WrittenReply
}

/** A conversation with its deployment's system prompt. */
export interface WrittenConversation {
  readonly id: string
  readonly kind: string
  readonly system: string
  readonly exchanges: readonly WrittenExchange[]
}

/** A deployment of `data/deployments`. */
export interface Deployment {
  readonly name: string
  readonly system: string
  readonly rules: readonly { readonly id: string; readonly text: string }[]
  readonly conversations: readonly Omit<WrittenConversation, 'system'>[]
}

/** As `FOLDS['1']` in sources.py. */
export const LEFT_OUT = ['plain-3', 'long-2', 'agent-2', 'voice-a', 'voice-e', 'slow-3']

/** As `OTHER_LANGUAGES` in sources.py: no run is trained on them. */
export const OTHER_LANGUAGES = ['languages-1', 'languages-2', 'languages-3']

const readJson = async (name: string): Promise<unknown> => JSON.parse(await readFile(join('data', name), 'utf8'))

/** The deployments of batches. */
export async function deploymentsOf(batches: readonly string[]): Promise<Deployment[]> {
  const members = (await readJson('deployment-batches.json')) as Record<string, string[]>
  const names = batches.flatMap((batch) => members[batch] ?? [])
  return Promise.all(names.map(async (name) => ({ ...((await readJson(`deployments/${name}.json`)) as Omit<Deployment, 'name'>), name })))
}
