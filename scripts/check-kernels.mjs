#!/usr/bin/env node
// Disassembles the compiled kernels of the encoder: the innermost loops of the microkernels must keep their accumulators in registers. Prints
// the code size per instruction set. Checks what is built: this machine's objects, and those for arm64 where they were cross-compiled.
//
// usage: node scripts/check-kernels.mjs

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { StepFailed, isMain, reportFailure, root, run } from './setup/run.mjs'

/** Build folders and the prefix of their binutils. */
const builds = [
  { folder: 'build/native', prefix: '' },
  { folder: 'build/native-arm64', prefix: 'aarch64-linux-gnu-' },
  { folder: 'build/kernels-arm64', prefix: 'aarch64-linux-gnu-' },
]

/** Dot products of bytes. */
const bytes = /^(?:(?:\{vex\} *)?vpdpbusd|sdot|smlal)/
/** The multiply-add instruction of each format: a loop that contains it is hot. */
const products = {
  Float32: /^(?:vfmadd|fmla)/,
  Bfloat16Wide: /^(?:vfmadd|fmla)/,
  'BlockSum<Float32, 1>': /^vfmadd/,
  'BlockSum<Float32, -1>': /^vfmadd/,
  'BlockSum<Bfloat16Wide, 1>': /^vfmadd/,
  'BlockSum<Bfloat16Wide, -1>': /^vfmadd/,
  Bfloat16Dot: /^(?:vdpbf16ps|bfdot)/,
  Bfloat16Matrix: /^bfmmla/,
  'Integer16<signed char, 16383>': /^vpmaddwd/,
  Int8Dot: bytes,
  Int8Scores: bytes,
  Int8Context: bytes,
  Int8Matrix: /^smmla/,
  Bfloat16Tiles: /^tdpbf16ps/,
  Int8Tiles: /^tdpbusd/,
}

/** Float microkernels, with those of Strassen's algorithm where an instruction set uses it. */
const floats = ['Float32', 'Bfloat16Wide']
const strassen = [...floats, ...floats.flatMap((format) => [`BlockSum<${format}, 1>`, `BlockSum<${format}, -1>`])]
/** Microkernels of int8 attention. */
const attention = ['Int8Scores', 'Int8Context']
// With 16 registers none is left for the mask of bf16's high halves.
const mask = { 'BlockSum<Bfloat16Wide, 1>': 1, 'BlockSum<Bfloat16Wide, -1>': 1 }

/**
 * Per instruction set: its formats, the maximum code size, and how often a loop iteration may use the stack. `vectors`: spills of accumulators or
 * weights, where not 0, per format. `addresses`: reloads of row offsets, which outnumber the general registers.
 */
const bounds = {
  avx2: { formats: [...strassen, 'Integer16<signed char, 16383>'], codeKiB: 150, addresses: 0, vectors: mask },
  avx_vnni: { formats: [...strassen, 'Int8Dot', ...attention], codeKiB: 150, addresses: 0, vectors: mask },
  avx512_vnni: { formats: [...strassen, 'Int8Dot', ...attention], codeKiB: 250, addresses: 4 },
  avx512_bf16: { formats: [...strassen, 'Bfloat16Dot', 'Int8Dot', ...attention], codeKiB: 250, addresses: 4 },
  // A tile instruction takes long enough to hide the load of an address from the stack.
  amx: { formats: [...strassen, 'Bfloat16Dot', 'Bfloat16Tiles', 'Int8Tiles', ...attention], codeKiB: 275, addresses: 6 },
  neon: { formats: [...floats, 'Int8Dot', ...attention], codeKiB: 150, addresses: 0, vectors: { Int8Dot: 2 } },
  neon_dotprod: { formats: [...floats, 'Int8Dot', ...attention], codeKiB: 150, addresses: 0 },
  neon_i8mm: { formats: [...floats, 'Int8Matrix', ...attention], codeKiB: 180, addresses: 0 },
  neon_bf16: { formats: [...floats, 'Bfloat16Dot', 'Bfloat16Matrix', 'Int8Matrix', ...attention], codeKiB: 180, addresses: 0 },
}

const stack = /\(%r[sb]p|\[sp|\[x29/
const vector = /%[xyz]mm|\b[qvds]\d+\b/
const jump = /^(?:j\w+|b(?:\.\w+)?|cbn?z|tbn?z)\s.*?([0-9a-f]+) </

/** Innermost loops with a format's multiply-adds in a disassembled function: { instructions, vectors, addresses }, the last two on the stack. */
function hotLoops(lines, format) {
  const backward = lines.flatMap(({ address, text }, end) => {
    const to = Number.parseInt(jump.exec(text)?.[1] ?? 'ffffffff', 16)
    const start = lines.findIndex((line) => line.address === to)
    return to <= address && start !== -1 ? [{ start, end }] : []
  })
  const bodyOf = ({ start, end }) => lines.slice(start, end + 1).map(({ text }) => text)
  const hot = backward.filter((loop) => bodyOf(loop).some((text) => products[format].test(text)))
  return hot
    .filter((loop) => !hot.some((other) => other !== loop && other.start >= loop.start && other.end <= loop.end))
    .map(bodyOf)
    .map((body) => {
      const onStack = body.filter((text) => stack.test(text))
      const vectors = onStack.filter((text) => vector.test(text)).length
      return { instructions: body.length, vectors, addresses: onStack.length - vectors }
    })
}

/** Every microkernel of an object: [{ format, rows, lines }]. */
async function microkernelsOf(object, objdump) {
  const output = await run(objdump, ['-d', '-C', '--no-show-raw-insn', object])
  const tiles = []
  let current = null
  for (const line of output.split('\n')) {
    const head = /^[0-9a-f]+ <(.*)>:$/.exec(line)
    if (head !== null) {
      // The AMX microkernels all call one function.
      const name = head[1].replace(/.*Tiles::Ukernel<.*/, '').replaceAll(/(?<=[<,] ?)gabion::kernels::\w+::/g, '')
      const tile = /::(\w+(?:<[^>]*>)?)::(?:Ukernel<(\d+)>|Run\()/.exec(name)
      current = tile === null ? null : { format: tile[1], rows: tile[2] ?? 'any', lines: [] }
      if (current !== null) tiles.push(current)
    } else if (current !== null) {
      const instruction = /^\s*([0-9a-f]+):\t(.*)$/.exec(line)
      if (instruction !== null) current.lines.push({ address: Number.parseInt(instruction[1], 16), text: instruction[2] })
    }
  }
  return tiles
}

async function codeBytes(object, size) {
  const [, line] = (await run(size, [object])).split('\n')
  return Number(line.trim().split(/\s+/)[0])
}

async function checkObject(target, object, prefix) {
  const { formats, codeKiB, addresses: maxAddresses, vectors: maxVectors = {} } = bounds[target]
  const problems = []
  const bytes = await codeBytes(object, `${prefix}size`)
  const microkernels = await microkernelsOf(object, `${prefix}objdump`)
  let count = 0
  const worst = { vectors: 0, addresses: 0 }
  for (const wanted of formats) {
    const own = microkernels.filter(({ format }) => format === wanted)
    if (own.length === 0) problems.push(`${target}: there is no microkernel of ${wanted}`)
    for (const { format, rows, lines } of own) {
      const loops = hotLoops(lines, format)
      if (loops.length === 0) problems.push(`${target}: ${format} of ${rows} rows has no loop with its multiply-adds`)
      for (const { instructions, vectors, addresses } of loops) {
        count++
        worst.vectors = Math.max(worst.vectors, vectors)
        worst.addresses = Math.max(worst.addresses, addresses)
        if (vectors > (maxVectors[format] ?? 0) || addresses > maxAddresses) {
          problems.push(
            `${target}: ${format} of ${rows} rows: ${vectors} vectors and ${addresses} addresses go through the stack in a loop of ${instructions} instructions; at most ${maxVectors[format] ?? 0} and ${maxAddresses} may`,
          )
        }
      }
    }
  }
  if (bytes > codeKiB * 1024) problems.push(`${target}: ${bytes} bytes of code; at most ${codeKiB} KiB may be`)
  const facts = [`${(bytes / 1024).toFixed(0)} KiB of code`, `${count} loops`]
  const used = `spilled at most ${worst.vectors} vectors and ${worst.addresses} addresses`
  console.log(`${target.replaceAll('_', '-').padEnd(13)} ${facts.join(', ')}, ${used}`)
  return problems
}

/** Checks all objects that exist. Throws StepFailed with every finding. */
export async function checkKernels() {
  const problems = []
  const seen = new Set()
  for (const { folder, prefix } of builds) {
    const objects = join(root, folder, 'CMakeFiles', 'gabion_kernels.dir', 'native', 'kernels', 'source')
    for (const file of existsSync(objects) ? readdirSync(objects).sort() : []) {
      const [, target] = /^target_(\w+)\.cpp\.o$/.exec(file) ?? []
      if (target === undefined || seen.has(target)) continue
      seen.add(target)
      if (bounds[target] === undefined) throw new StepFailed(`scripts/check-kernels.mjs has no bounds for ${target}`)
      problems.push(...(await checkObject(target, join(objects, file), prefix)))
    }
  }
  if (seen.size === 0) throw new StepFailed('no kernels are built: `npm run build:native` builds them', { exitCode: 2 })
  if (problems.length > 0) throw new StepFailed('the compiled kernels exceed their bounds', { lines: problems })
}

if (isMain(import.meta.url)) {
  try {
    await checkKernels()
  } catch (error) {
    reportFailure(error)
  }
}
