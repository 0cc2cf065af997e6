// Owns exports of chats as trees of messages: the branch that was shown last, and the others on request.

import { readContent } from '../content.js'
import { conversationOf, nameOf } from '../conversation-name.js'
import type { Message, Role } from '../exchanges.js'
import { messagesOf, readMessage } from '../message.js'
import { readTime } from '../order.js'
import { isEntry, readOrReport, transcriptInvalid, type Entry } from '../problem.js'
import { roleOf } from '../speakers.js'
import type { Form, ReadContext, WholePiece } from './form.js'

/** A message in a tree: its parent and what it says. */
interface TreeNode {
  readonly parent: string | null
  readonly value: unknown
}

type Tree = ReadonlyMap<string, TreeNode>

/** Nodes from the root to one; a cycle ends it. */
function pathTo(tree: Tree, leaf: string): unknown[] {
  const path: unknown[] = []
  const seen = new Set<string>()
  let id: string | null = leaf
  for (let node = tree.get(leaf); id !== null && node !== undefined && !seen.has(id); node = id === null ? undefined : tree.get(id)) {
    seen.add(id)
    path.push(node.value)
    id = node.parent
  }
  return path.toReversed()
}

/** The active branch, and where asked for the others, as conversations; reads a path into messages. */
function readBranches(
  tree: Tree,
  active: string,
  { name, allBranches }: { name: string | null; allBranches: boolean },
  read: (path: readonly unknown[]) => Message[],
): WholePiece[] {
  const parents = new Set(Array.from(tree.values(), ({ parent }) => parent))
  const others = [...tree.keys()].filter((id) => id !== active && !parents.has(id))
  const piece = (leaf: string, conversation: string | null, notes: readonly string[]): WholePiece => ({
    kind: 'whole',
    conversation,
    messages: read(pathTo(tree, leaf)),
    notes,
  })
  if (!allBranches) {
    const note = `${String(others.length)} other branch(es) of edited or regenerated messages were left out (--all-branches reads them)`
    return [piece(active, name, others.length > 0 ? [note] : [])]
  }
  return [piece(active, name, []), ...others.map((leaf, index) => piece(leaf, `${name ?? 'conversation'}~${String(index + 2)}`, []))]
}

function readChatGpt(record: unknown, context: ReadContext): WholePiece[] {
  const { where, onProblem } = context
  if (!isEntry(record) || !isEntry(record.mapping)) throw transcriptInvalid(where, `field 'mapping' must be an object of messages`)
  const tree = new Map<string, TreeNode>()
  for (const [id, node] of Object.entries(record.mapping)) {
    if (isEntry(node)) tree.set(id, { parent: typeof node.parent === 'string' ? node.parent : null, value: node.message })
  }
  const active = typeof record.current_node === 'string' && tree.has(record.current_node) ? record.current_node : lastLeaf(tree)
  if (active === undefined) return []
  const name = conversationOf(record, context.conversationField) ?? nameOf(record.id) ?? nameOf(record.title)
  return readBranches(tree, active, { name, allBranches: context.allBranches }, (path) =>
    path.flatMap((message) => readOrReport(onProblem, () => readChatGptMessage(message, where)) ?? []),
  )
}

/** The leaf that was made last, going by the order of the nodes. */
function lastLeaf(tree: Tree): string | undefined {
  const parents = new Set(Array.from(tree.values(), ({ parent }) => parent))
  return [...tree.keys()].findLast((id) => !parents.has(id))
}

/** Content that ChatGPT does not show. */
const HIDDEN_CONTENT = ['user_editable_context', 'model_editable_context', 'thoughts', 'reasoning_recap']

function readChatGptMessage(message: unknown, where: string): Message[] {
  if (!isEntry(message) || !isEntry(message.content)) return []
  const { author, content, recipient, metadata, create_time: at } = message
  if (isEntry(metadata) && metadata.is_visually_hidden_from_conversation === true) return []
  if (HIDDEN_CONTENT.includes(String(content.content_type))) return []
  const speaker = isEntry(author) ? roleOf(author.role) : undefined
  // What the assistant says to a tool is not said to the user.
  const role: Role = speaker === undefined || (typeof recipient === 'string' && recipient !== 'all') ? 'context' : speaker
  const read = readContent(content, 'content', where)
  if (read.words === '' && read.context.length === 0) return []
  const time = readTime(at)
  return messagesOf(role, read).map((one) => (time === null ? one : { ...one, time }))
}

function readClaude(record: unknown, context: ReadContext): WholePiece[] {
  const { where, onProblem } = context
  if (!isEntry(record) || !Array.isArray(record.chat_messages))
    throw transcriptInvalid(where, `field 'chat_messages' must be a list of messages`)
  const list = record.chat_messages as unknown[]
  const name = conversationOf(record, context.conversationField) ?? nameOf(record.uuid) ?? nameOf(record.name)
  const read = (entries: readonly unknown[]): Message[] =>
    entries.flatMap(
      (entry, index) => readOrReport(onProblem, () => readMessage(entry, `${where}: entry ${String(index + 1)}`, context)) ?? [],
    )
  const tree = treeOf(list)
  if (tree === null) return [{ kind: 'whole', conversation: name, messages: read(list) }]
  const { current_leaf_message_uuid: leaf } = record
  const active = typeof leaf === 'string' && tree.has(leaf) ? leaf : [...tree.keys()].at(-1)
  return active === undefined ? [] : readBranches(tree, active, { name, allBranches: context.allBranches }, read)
}

/** The tree of messages that name their parents; null where they do not, or where two have one name. */
function treeOf(list: readonly unknown[]): Tree | null {
  const entries = list.filter(isEntry)
  const tree = new Map(entries.map((entry) => [String(entry.uuid), { parent: parentOf(entry), value: entry }]))
  return tree.size === list.length && entries.some((entry) => tree.has(parentOf(entry) ?? '')) ? tree : null
}

function parentOf({ parent_message_uuid: parent }: Entry): string | null {
  return typeof parent === 'string' ? parent : null
}

/** Exports of chat services. */
export const TREE_FORMS: readonly Form[] = [
  {
    name: 'chatgpt',
    title: "ChatGPT's export: conversations.json",
    example:
      '[{"title":"Hours","conversation_id":"c1","current_node":"n2","mapping":{"n1":{"id":"n1","parent":null,"children":["n2"],"message":{"author":{"role":"user"},"content":{"content_type":"text","parts":["Are you open?"]}}},"n2":{"id":"n2","parent":"n1","children":[],"message":{"author":{"role":"assistant"},"content":{"content_type":"text","parts":["From nine."]}}}}}]',
    matches: (record) => isEntry(record) && isEntry(record.mapping),
    read: readChatGpt,
  },
  {
    name: 'claude',
    title: "Claude's export: conversations.json",
    example:
      '[{"uuid":"c1","name":"Hours","chat_messages":[{"uuid":"m1","sender":"human","text":"Are you open?"},{"uuid":"m2","sender":"assistant","text":"From nine."}]}]',
    matches: (record) => isEntry(record) && Array.isArray(record.chat_messages),
    read: readClaude,
  },
]
