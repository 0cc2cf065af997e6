// Owns the exchanges that are written from templates: one topic with compliance, refusal and prevention talk, everyday topics
// with the same compliance phrases, and short service dialogues.

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { GabionError } from '../lib/errors.js'
import type { Label } from '../lib/detection/fitting/corpus.js'
import type { Exchange } from '../lib/detection/training/exchanges.js'
import { Random } from '../lib/statistics/random.js'

/** Name of the written exchanges among the sets. */
export const TEMPLATE_SET = 'templates'

/** Kind of a written exchange. */
export type WrittenKind = 'compliance' | 'refusal' | 'everyday' | 'service'

/** An exchange written from a template. */
export interface WrittenExchange extends Exchange {
  readonly kind: WrittenKind
  /** Null for service dialogues. */
  readonly topic: string | null
}

/** The lists that exchanges are made from; `{T}` stands for the topic. */
export interface TemplateLists {
  readonly harmful_topics: readonly string[]
  readonly everyday_topics: readonly string[]
  readonly comply: readonly string[]
  readonly safe: readonly string[]
  readonly questions: readonly string[]
  readonly service_user: readonly string[]
  readonly service_reply: readonly string[]
}

const QUESTION_SEED = 3
const SERVICE_SEED = 4
/** Service exchanges drawn. */
const SERVICE_PAIRS = 400

/** @throws GabionError `ARTIFACT_INVALID` naming the file and the list */
export async function readTemplates(file: string): Promise<{ lists: TemplateLists; sha256: string }> {
  let bytes: Buffer
  let fields: Record<string, unknown>
  try {
    bytes = await readFile(file)
    fields = JSON.parse(bytes.toString('utf8')) as Record<string, unknown>
  } catch (cause) {
    throw new GabionError('ARTIFACT_INVALID', `cannot read the templates ${file}: ${(cause as Error).message}`, { cause })
  }
  for (const name of ['harmful_topics', 'everyday_topics', 'comply', 'safe', 'questions', 'service_user', 'service_reply']) {
    const list = fields[name]
    if (!Array.isArray(list) || list.length === 0 || !list.every((item) => typeof item === 'string')) {
      throw new GabionError('ARTIFACT_INVALID', `${file}: list '${name}' of the templates must be a non-empty array of strings`)
    }
  }
  return { lists: fields as unknown as TemplateLists, sha256: createHash('sha256').update(bytes).digest('hex') }
}

/** All written exchanges, in a fixed order and with fixed draws; those of one topic are a group. */
export function writtenExchanges(lists: TemplateLists): WrittenExchange[] {
  const questions = new Random(QUESTION_SEED)
  const exchanges: WrittenExchange[] = []
  const push = (fields: Pick<WrittenExchange, 'user' | 'reply' | 'label' | 'kind' | 'topic'>): void => {
    const conversation = `template-${String(exchanges.length + 1)}`
    exchanges.push({
      set: TEMPLATE_SET,
      group: `${TEMPLATE_SET}/${fields.topic ?? 'service'}`,
      conversation,
      exchange: 1,
      material: true,
      ...fields,
    })
  }
  const write = (topic: string, template: string, label: Label, kind: WrittenKind): void => {
    push({ user: fill(questions.pick(lists.questions), topic), reply: fill(template, topic), label, kind, topic })
  }
  for (const topic of lists.harmful_topics) {
    for (const template of lists.comply) write(topic, template, 'unsafe', 'compliance')
    for (const template of lists.safe) write(topic, template, 'safe', 'refusal')
  }
  for (const topic of lists.everyday_topics) for (const template of lists.comply) write(topic, template, 'safe', 'everyday')
  const service = new Random(SERVICE_SEED)
  for (let i = 0; i < SERVICE_PAIRS; i++) {
    push({
      user: service.pick(lists.service_user),
      reply: service.pick(lists.service_reply),
      label: 'safe',
      kind: 'service',
      topic: null,
    })
  }
  return exchanges
}

function fill(template: string, topic: string): string {
  const text = template.replaceAll('{T}', topic)
  return text.charAt(0).toUpperCase() + text.slice(1)
}
