// Owns labeled conversations as files: JSON lines, plain or gzipped. Knows fields and labels, no vectors.

import { readFile } from 'node:fs/promises'
import { nodeZlib, nodeCrypto } from '../../lazy.js'
import { GabionError } from '../../errors.js'

/** The label of a conversation or of an exchange. */
export type Label = 'safe' | 'unsafe'

/** One exchange of a conversation. */
export interface LabeledExchange {
  readonly user: string
  readonly reply: string
  /** The exchange's own label; null where only the conversation has one. */
  readonly label: Label | null
}

/** A labeled conversation. */
export interface LabeledConversation {
  readonly id: string
  /** Conversations of one group share a prompt, a topic or a source, and are never split between training and test. */
  readonly group: string
  readonly exchanges: readonly LabeledExchange[]
  /** The conversation's own label; else `unsafe` if an exchange is. */
  readonly label: Label
}

/** A file of conversations. */
export interface Corpus {
  readonly name: string
  readonly file: string
  /** SHA-256 of the file's bytes. */
  readonly sha256: string
  readonly conversations: readonly LabeledConversation[]
}

/**
 * Reads a file of one JSON object per line: `{id?, group?, label?, turns: [...]}`. A turn is `{user, assistant}` (also `model` or
 * `reply` for the assistant, and an optional `label`), or one message `{role, content}` as in chat logs. Repeated ids get a number.
 *
 * @param defaults - label for conversations that have none
 * @throws GabionError `TRANSCRIPT_INVALID` naming file, line and field
 */
export async function readCorpus(file: string, name: string, defaults?: { label: Label }): Promise<Corpus> {
  let bytes: Buffer
  try {
    bytes = await readFile(file)
  } catch (cause) {
    throw new GabionError('TRANSCRIPT_INVALID', `cannot read ${file}: ${(cause as Error).message}`, { cause })
  }
  const text = (bytes[0] === 0x1f && bytes[1] === 0x8b ? nodeZlib().gunzipSync(bytes) : bytes).toString('utf8')
  const conversations: LabeledConversation[] = []
  const seen = new Map<string, number>()
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue
    const conversation = parseConversation(line, { file, line: index + 1, name, label: defaults?.label ?? null })
    const times = (seen.get(conversation.id) ?? 0) + 1
    seen.set(conversation.id, times)
    conversations.push(times === 1 ? conversation : { ...conversation, id: `${conversation.id}#${String(times)}` })
  }
  if (conversations.length === 0) throw new GabionError('TRANSCRIPT_INVALID', `${file} has no conversation`)
  return { name, file, sha256: nodeCrypto().createHash('sha256').update(bytes).digest('hex'), conversations }
}

interface LineOrigin {
  file: string
  line: number
  name: string
  label: Label | null
}

function parseConversation(line: string, origin: LineOrigin): LabeledConversation {
  const wrong = (reason: string): GabionError =>
    new GabionError('TRANSCRIPT_INVALID', `${origin.file}, line ${String(origin.line)}: ${reason}`)
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw new GabionError('TRANSCRIPT_INVALID', `${origin.file}, line ${String(origin.line)}: not JSON (${(cause as Error).message})`, {
      cause,
    })
  }
  if (!isFields(value)) throw wrong('expected a JSON object')
  const labelOf = (from: Record<string, unknown>, where: string): Label | null => {
    const { label } = from
    if (label === undefined || label === null) return null
    if (label !== 'safe' && label !== 'unsafe') throw wrong(`${where} must be 'safe' or 'unsafe'`)
    return label
  }
  const items = value.turns ?? value.messages ?? value.conversation
  if (!Array.isArray(items) || items.length === 0) throw wrong(`field 'turns' must be an array of one or more turns`)
  const exchanges: LabeledExchange[] = []
  let pending: string[] = []
  for (const [index, item] of (items as unknown[]).entries()) {
    const where = `turns[${String(index)}]`
    if (!isFields(item)) throw wrong(`${where} must be an object`)
    const label = labelOf(item, `${where}.label`)
    const reply = item.assistant ?? item.model ?? item.reply
    if (typeof reply === 'string') {
      if (item.user !== undefined && typeof item.user !== 'string') throw wrong(`${where}.user must be a string`)
      exchanges.push({ user: item.user ?? '', reply, label })
      continue
    }
    const role = item.role ?? item.speaker
    const content = item.content ?? item.text ?? item.message
    if (typeof role !== 'string' || typeof content !== 'string') throw wrong(`${where} must be {user, assistant} or {role, content}`)
    if (role === 'user') pending.push(content)
    else if (['assistant', 'model', 'ai', 'llm'].includes(role)) {
      exchanges.push({ user: pending.join('\n'), reply: content, label })
      pending = []
    }
  }
  if (exchanges.length === 0) throw wrong('the conversation has no reply')
  const label = labelOf(value, `field 'label'`) ?? labelOfExchanges(exchanges) ?? origin.label
  if (label === null) throw wrong(`no label: expected a field 'label' of 'safe' or 'unsafe'`)
  const id = typeof value.id === 'string' ? value.id : `${origin.name}-${String(origin.line)}`
  const group = typeof value.group === 'string' ? value.group : id
  return { id, group, exchanges, label }
}

function labelOfExchanges(exchanges: readonly LabeledExchange[]): Label | null {
  if (exchanges.some(({ label }) => label === 'unsafe')) return 'unsafe'
  return exchanges.every(({ label }) => label === 'safe') ? 'safe' : null
}

function isFields(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
