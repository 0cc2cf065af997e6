// Whether an ONNX file's own functions can be put in place of their calls. ONNX Runtime does so when it opens a graph, call by call within call,
// without a bound: a file of 170 KB can overflow its stack, and one of a few calls of calls fill any memory. Field numbers are those of onnx.proto3.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { GabionError } from '../errors.js'
import { ProtobufReader, type ProtobufField } from './protobuf-reader.js'

/** Exporters of PyTorch nest two or three calls, and graphs have some thousand nodes. */
const DEEPEST = 64
const MAX_NODES = 1_000_000
const FUNCTIONS = 25

/** A function's body: its ordinary nodes, and how often it calls what by domain and name. */
interface Body {
  nodes: number
  calls: Map<string, number>
}

/**
 * Refuses a file whose functions call each other deeper than 64 times, in a circle, or to more than a million nodes.
 *
 * @throws GabionError `MODEL_INVALID`, also if the file is broken
 */
export async function refuseEndlessFunctions(file: string): Promise<void> {
  if (!mayHaveFunctions(file)) return
  const handle = await open(file, 'r')
  try {
    const { size } = await handle.stat()
    const reader = new ProtobufReader(file, handle, size)
    const bodies = new Map<string, Body>()
    for await (const field of reader.fields({ begin: 0, end: size })) {
      if (field.field !== FUNCTIONS) continue
      const { key, body } = await readFunction(reader, field)
      bodies.set(key, body)
    }
    const known = new Map<string, Expanded>()
    for (const key of bodies.keys()) expand(file, key, bodies, known, 1)
  } finally {
    await handle.close()
  }
}

/** Looks at the outermost fields alone and at once, since every start of a process waits for it. Whatever is odd may have functions. */
function mayHaveFunctions(file: string): boolean {
  let handle: number
  try {
    handle = openSync(file, 'r')
  } catch {
    return false // who opens it tells why it cannot be
  }
  try {
    const { size } = fstatSync(handle)
    const head = Buffer.alloc(16)
    for (let at = 0; at < size;) {
      const length = readSync(handle, head, 0, head.length, at)
      const tag = varintAt(head.subarray(0, length), 0)
      const value = tag && varintAt(head.subarray(0, length), tag.next)
      if (!tag || !value || tag.value >> 3 === FUNCTIONS) return true
      const wire = tag.value & 7
      if (wire !== 0 && wire !== 2) return true // no field of a model is of a fixed size
      at += value.next + (wire === 2 ? value.value : 0)
    }
    return false
  } finally {
    closeSync(handle)
  }
}

function varintAt(bytes: Buffer, from: number): { value: number; next: number } | null {
  let value = 0
  for (let index = 0; index < 7 && from + index < bytes.length; index++) {
    const byte = bytes[from + index] as number
    value += (byte & 0x7f) * 2 ** (7 * index)
    if (byte < 0x80) return { value, next: from + index + 1 }
  }
  return null
}

/** What a function comes to: its nodes, and calls that lie in each other. */
interface Expanded {
  nodes: number
  depth: number
}

/** @param level - how many calls lie around this one */
function expand(file: string, key: string, bodies: ReadonlyMap<string, Body>, known: Map<string, Expanded>, level: number): Expanded {
  const before = known.get(key)
  if (before !== undefined) return before
  const body = bodies.get(key)
  if (body === undefined) return { nodes: 0, depth: 0 } // an ordinary operator
  const whole = { nodes: body.nodes, depth: 1 }
  const tooDeep = `calls of functions lie more than ${String(DEEPEST)} deep in each other, or in a circle`
  if (level > DEEPEST) throw refused(file, tooDeep)
  for (const [callee, times] of body.calls) {
    const inner = expand(file, callee, bodies, known, level + 1)
    whole.nodes += times * inner.nodes
    whole.depth = Math.max(whole.depth, inner.depth + 1)
    if (whole.depth > DEEPEST) throw refused(file, tooDeep)
    if (whole.nodes > MAX_NODES) throw refused(file, `its functions come to more than ${String(MAX_NODES)} nodes`)
  }
  known.set(key, whole)
  return whole
}

async function readFunction(reader: ProtobufReader, of: ProtobufField): Promise<{ key: string; body: Body }> {
  let [name, domain] = ['', '']
  const body: Body = { nodes: 0, calls: new Map() }
  for await (const field of reader.fields(of)) {
    if (field.field === 1) name = await reader.text(field)
    else if (field.field === 7) await readNode(reader, field, body)
    else if (field.field === 10) domain = await reader.text(field)
  }
  return { key: `${domain}:${name}`, body }
}

/** Nodes of graphs inside of a node count as the function's own: all of them are put in place. */
async function readNode(reader: ProtobufReader, of: ProtobufField, body: Body, level = 1): Promise<void> {
  if (level > DEEPEST) throw refused(reader.file, `graphs lie more than ${String(DEEPEST)} deep in each other`)
  let [operator, domain] = ['', '']
  for await (const field of reader.fields(of)) {
    if (field.field === 4) operator = await reader.text(field)
    else if (field.field === 7) domain = await reader.text(field)
    else if (field.field === 5) {
      for await (const part of reader.fields(field)) {
        if (part.field !== 6 && part.field !== 11) continue
        for await (const inner of reader.fields(part)) if (inner.field === 1) await readNode(reader, inner, body, level + 1)
      }
    }
  }
  const key = `${domain}:${operator}`
  body.nodes++
  body.calls.set(key, (body.calls.get(key) ?? 0) + 1)
}

function refused(file: string, what: string): GabionError {
  return new GabionError('MODEL_INVALID', `${file} cannot be used: ${what}`)
}
