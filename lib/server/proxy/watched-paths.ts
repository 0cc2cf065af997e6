// Decides by its path which chat API a request is for. Reads a path as the most lenient upstream would, so that no spelling of a watched
// path passes unwatched.

import { chatCompletions, textCompletions } from './protocols/chat-completions.js'
import { anthropicMessages } from './protocols/messages.js'
import { ollamaChat, ollamaGenerate } from './protocols/ollama.js'
import type { ChatProtocol } from './protocols/protocol.js'
import { openaiResponses } from './protocols/responses.js'

/** The last segments of watched paths. */
const WATCHED: readonly (readonly [suffix: readonly string[], protocol: ChatProtocol])[] = [
  [['chat', 'completions'], chatCompletions],
  [['completions'], textCompletions],
  [['responses'], openaiResponses],
  [['v1', 'messages'], anthropicMessages],
  [['api', 'chat'], ollamaChat],
  [['api', 'generate'], ollamaGenerate],
]

// Percent-decoding passes, since some servers decode more than once.
const MAX_DECODINGS = 3

/** The protocol of a watched path; null for all others. Only `POST` requests answer with a model's words. */
export function protocolOf(method: string, target: string): ChatProtocol | null {
  if (method !== 'POST') return null
  const segments = segmentsOf(target)
  return WATCHED.find(([suffix]) => suffix.every((name, index) => segments.at(index - suffix.length) === name))?.[1] ?? null
}

/** Segments in lower case, without empty ones and without parameters after a semicolon. */
function segmentsOf(target: string): string[] {
  let path = target.split(/[?#]/)[0] ?? ''
  for (let round = 0; round < MAX_DECODINGS; round++) {
    const decoded = path.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
    if (decoded === path) break
    path = decoded
  }
  return path
    .toLowerCase()
    .split(/[/\\]/)
    .map((segment) => segment.replace(/;.*/, '').trim())
    .filter((segment) => segment !== '' && segment !== '.')
}

/** Names that {@link routeLabel} may return, apart from `other`: a metric's labels have to be few. */
const LABELS = new Set([
  'models',
  'embeddings',
  'embed',
  'moderations',
  'images',
  'audio',
  'videos',
  'files',
  'batches',
  'fine_tuning',
  'threads',
  'assistants',
  'vector_stores',
  'conversations',
  'responses',
  'messages',
  'completions',
  'realtime',
  'rerank',
  'tokenize',
  'generate',
  'tags',
  'health',
  'metrics',
])

/** The label of an unwatched path: its first known segment, else `other`. */
export function routeLabel(target: string): string {
  return segmentsOf(target).find((segment) => LABELS.has(segment)) ?? 'other'
}
