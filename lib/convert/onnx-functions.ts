// Owns the bounds on inlining of an ONNX file's functions. ONNX Runtime inlines nested calls without a bound when it opens a graph: a
// file of 170 KB can overflow its stack, and a few nested calls can exhaust memory. Field numbers are those of onnx.proto3.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { GabionError } from '../errors.js'
import { ProtobufReader, type ProtobufField } from '../files/protobuf-reader.js'

/** Exporters of PyTorch nest two or three calls, and graphs have some thousand nodes. */
const MAX_DEPTH = 64
const MAX_NODES = 1_000_000
const FUNCTIONS = 25

/** A function's body: the number of its nodes, and of its calls by domain and name. */
interface Body {
  nodes: number
  calls: Map<string, number>
}

/**
 * Refuses a file whose functions nest deeper than 64 calls, recursively, or expand to more than a million nodes.
 *
 * @throws GabionError `MODEL_INVALID`, also if the file is broken
 */
export async function refuseEndlessFunctions(file: string): Promise<void> {
  if (!mayHaveFunctions(file)) return
  await using handle = await open(file, 'r')
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
}

/** Scans the top-level fields synchronously, since every start of a process waits for it. Unusual files count as having functions. */
function mayHaveFunctions(file: string): boolean {
  let handle: number
  try {
    handle = openSync(file, 'r')
  } catch {
    return false // the error is reported on opening
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
      if (wire !== 0 && wire !== 2) return true // no field of a model has a fixed-size type
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

/** Size of an inlined function: its nodes and its call depth. */
interface Expanded {
  nodes: number
  depth: number
}

/** @param level - call depth */
function expand(file: string, key: string, bodies: ReadonlyMap<string, Body>, known: Map<string, Expanded>, level: number): Expanded {
  const before = known.get(key)
  if (before !== undefined) return before
  const body = bodies.get(key)
  if (body === undefined) return { nodes: 0, depth: 0 } // an ordinary operator
  const whole = { nodes: body.nodes, depth: 1 }
  const tooDeep = `its functions nest deeper than ${String(MAX_DEPTH)} calls or are recursive`
  if (level > MAX_DEPTH) throw refused(file, tooDeep)
  for (const [callee, times] of body.calls) {
    const inner = expand(file, callee, bodies, known, level + 1)
    whole.nodes += times * inner.nodes
    whole.depth = Math.max(whole.depth, inner.depth + 1)
    if (whole.depth > MAX_DEPTH) throw refused(file, tooDeep)
    if (whole.nodes > MAX_NODES) throw refused(file, `its functions expand to more than ${String(MAX_NODES)} nodes`)
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

/** Nodes of a node's subgraphs count as the function's own, since all of them are inlined. */
async function readNode(reader: ProtobufReader, of: ProtobufField, body: Body, level = 1): Promise<void> {
  if (level > MAX_DEPTH) throw refused(reader.file, `its graphs nest deeper than ${String(MAX_DEPTH)}`)
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
