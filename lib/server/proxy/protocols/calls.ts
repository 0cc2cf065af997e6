// Collects the calls of tools in a response, whole or in the parts of a stream.

import { textOfCall } from '../../../monitor/reply.js'
import { fieldsOf, listOf, stringOf } from './protocol.js'

/** A call, or a part of one. */
export interface CallPart {
  /** Its place in the response. */
  readonly key: unknown
  readonly id?: string | undefined
  readonly name?: string | undefined
  /** JSON, or a part of it, which follows what came before; or a value. */
  readonly args: unknown
}

interface Call {
  readonly id: string | undefined
  name: string
  args: unknown
}

/** Calls in the order in which they began. */
export class Calls {
  readonly #all: Call[] = []
  readonly #latest = new Map<unknown, Call>()

  get isEmpty(): boolean {
    return this.#all.length === 0
  }

  add({ key, id, name, args }: CallPart): void {
    const known = this.#latest.get(key)
    // Some services give parallel calls the same place.
    const isNext = known?.id !== undefined && id !== undefined && id !== '' && id !== known.id && name !== undefined
    if (known === undefined || isNext) {
      const call = { id, name: name ?? '', args: args ?? '' }
      this.#all.push(call)
      this.#latest.set(key, call)
      return
    }
    if (known.name === '') known.name = name ?? ''
    known.args = typeof args === 'string' && typeof known.args === 'string' ? known.args + args : (args ?? known.args)
  }

  /** Sets the arguments of a call, where they came whole after all. */
  complete({ key, name, args }: CallPart): void {
    const known = this.#latest.get(key)
    if (known === undefined) this.add({ key, name, args })
    else if (args !== undefined && args !== '') known.args = args
  }

  /** One a line. */
  text(): string {
    return this.#all.map(({ name, args }) => textOfCall(name, args)).join('\n')
  }
}

/** The calls in a message of chat completions, or in a part of one. */
export function callsOf(message: unknown): CallPart[] {
  const { tool_calls: tools, function_call: call } = fieldsOf(message)
  const parts = listOf(tools).map((tool, at): CallPart => {
    const { index, id, function: called, custom } = fieldsOf(tool)
    return { ...functionPart(called ?? custom), key: index ?? at, id: stringOf(id) }
  })
  return call === undefined || call === null ? parts : [...parts, { ...functionPart(call), key: 'function' }]
}

function functionPart(called: unknown): Omit<CallPart, 'key'> {
  const { name, arguments: args, input } = fieldsOf(called)
  return { name: stringOf(name), args: args ?? input }
}

/** Whether an output item of the Responses API is a call of a tool. */
export function isCallItem(item: unknown): boolean {
  return /_call$|^mcp_approval_request$/.test(stringOf(fieldsOf(item).type) ?? '')
}

/** The name and arguments of such an item; its arguments are undefined where it has none yet. */
export function callOfItem(key: unknown, item: unknown): CallPart {
  const { type, name, arguments: args, input, action, code, queries, operation, revised_prompt: prompt } = fieldsOf(item)
  const given = [args, input, action, code, queries, operation, prompt].find((value) => value !== undefined && value !== null)
  return { key, name: stringOf(name) ?? stringOf(type)?.replace(/_call$/, ''), args: given }
}
