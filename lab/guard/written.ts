// Reads the written conversations of deployments, and says which ones fold 1 leaves out of training.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** One exchange with its label and the user's pressure, 0 to 2. */
export interface WrittenExchange {
  readonly user: string
  readonly assistant: string
  readonly label: 'ok' | 'waver' | 'break'
  readonly pressure: number
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
  readonly conversations: readonly Omit<WrittenConversation, 'system'>[]
}

/** As `FOLDS['1']` in sources.py. */
export const LEFT_OUT = ['plain-3', 'long-2', 'agent-2', 'voice-a', 'voice-e', 'slow-3']

const readJson = async (name: string): Promise<unknown> => JSON.parse(await readFile(join('data', name), 'utf8'))

/** The deployments of batches. */
export async function deploymentsOf(batches: readonly string[]): Promise<Deployment[]> {
  const members = (await readJson('deployment-batches.json')) as Record<string, string[]>
  const names = batches.flatMap((batch) => members[batch] ?? [])
  return Promise.all(names.map(async (name) => ({ ...((await readJson(`deployments/${name}.json`)) as Omit<Deployment, 'name'>), name })))
}
