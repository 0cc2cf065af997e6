// Owns the names that speakers have in transcripts.

import type { Role } from './exchanges.js'

const NAMES: Readonly<Record<Role, readonly string[]>> = {
  user: ['user', 'human', 'customer', 'client', 'visitor', 'guest', 'caller', 'requester', 'member', 'consumer', 'end-user', 'end_user'],
  assistant: ['assistant', 'llm', 'ai', 'model', 'bot', 'chatbot', 'agent', 'gpt', 'chatgpt', 'claude', 'gemini', 'bard', 'copilot'],
  system: ['system', 'developer'],
  context: ['tool', 'function', 'tool_call', 'tool_result', 'function_call', 'function_response', 'observation', 'ipython'],
}

const ROLES: ReadonlyMap<string, Role> = new Map(
  (Object.keys(NAMES) as Role[]).flatMap((role) => NAMES[role].map((name) => [name, role] as const)),
)

/** The known names, for messages. */
export const SPEAKER_NAMES: readonly string[] = [...ROLES.keys()]

/** The assistant's own names in a transcript; every other speaker that is neither system nor tool is then the user. Lower case. */
export type AssistantNames = ReadonlySet<string>

/** Reads the names of `--assistant-is`. */
export function assistantNames(names: readonly string[]): AssistantNames {
  return new Set(names.flatMap((list) => list.split(',')).map(plain))
}

/** The role of a speaker; undefined for a name that is not known. Flags and numbers count by how they are written. */
export function roleOf(speaker: unknown, assistants: AssistantNames | null = null): Role | undefined {
  if (typeof speaker !== 'string' && typeof speaker !== 'number' && typeof speaker !== 'boolean') return undefined
  const name = plain(String(speaker))
  if (assistants?.has(name) === true) return 'assistant'
  // LangChain's class names: HumanMessage, AIMessageChunk.
  const known = ROLES.get(name) ?? ROLES.get(name.replace(/message(chunk)?$/, ''))
  if (assistants === null) return known
  return known === 'system' || known === 'context' ? known : 'user'
}

function plain(name: string): string {
  return name.trim().toLowerCase()
}
