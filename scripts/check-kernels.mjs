#!/usr/bin/env node
// Disassembles the encoder's compiled kernels: the innermost loops of the microkernels must keep their accumulators in registers. Prints each
// instruction set's code size. Checks the objects that are built: this machine's, and those for arm64 where they were cross-compiled.
//
// usage: node scripts/check-kernels.mjs

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { StepFailed, isMain, reportFailure, root, run } from './setup/run.mjs'

/** Folders of objects, and the programs that read them. */
const builds = [
  { folder: 'build/native', prefix: '' },
  { folder: 'build/native-arm64', prefix: 'aarch64-linux-gnu-' },
  { folder: 'build/kernels-arm64', prefix: 'aarch64-linux-gnu-' },
]

/** Int8 microkernels. */
const bytes = /^(?:(?:\{vex\} *)?vpdpbusd|sdot|smlal)/
/** The product instruction of a format: a loop that has it is a hot loop. */
const products = {
  Float32: /^(?:vfmadd|fmla)/,
  Bfloat16Wide: /^(?:vfmadd|fmla)/,
  'OfTwoBlocks<Float32, 1>': /^vfmadd/,
  'OfTwoBlocks<Float32, -1>': /^vfmadd/,
  'OfTwoBlocks<Bfloat16Wide, 1>': /^vfmadd/,
  'OfTwoBlocks<Bfloat16Wide, -1>': /^vfmadd/,
  Bfloat16Dot: /^(?:vdpbf16ps|bfdot)/,
  Bfloat16Matrix: /^bfmmla/,
  'Integer16<signed char, 16383>': /^vpmaddwd/,
  Int8Dot: bytes,
  ByteScores: bytes,
  ByteMix: bytes,
  Int8Matrix: /^smmla/,
  Bfloat16Tiles: /^tdpbf16ps/,
  Int8Tiles: /^tdpbusd/,
}

/** Float microkernels, with those of Strassen's algorithm where an instruction set uses it. */
const floats = ['Float32', 'Bfloat16Wide']
const strassen = [...floats, ...floats.flatMap((format) => [`OfTwoBlocks<${format}, 1>`, `OfTwoBlocks<${format}, -1>`])]
/** Microkernels of int8 attention. */
const attention = ['ByteScores', 'ByteMix']
// With 16 registers there is none left for the mask of bf16's upper halves.
const mask = { 'OfTwoBlocks<Bfloat16Wide, 1>': 1, 'OfTwoBlocks<Bfloat16Wide, -1>': 1 }

/**
 * By instruction set: the formats that it computes with, maximum code size, and the allowed stack traffic per iteration of a loop. `vectors`: accumulators or
 * weights that are spilled, where not 0, by format. `addresses`: row offsets, of which there are more than registers.
 */
const bounds = {
  avx2: { formats: [...strassen, 'Integer16<signed char, 16383>'], codeKiB: 150, addresses: 0, vectors: mask },
  avx_vnni: { formats: [...strassen, 'Int8Dot', ...attention], codeKiB: 150, addresses: 0, vectors: mask },
  avx512_vnni: { formats: [...strassen, 'Int8Dot', ...attention], codeKiB: 250, addresses: 4 },
  avx512_bf16: { formats: [...strassen, 'Bfloat16Dot', 'Int8Dot', ...attention], codeKiB: 250, addresses: 4 },
  // A step of the AMX tiles takes longer than loading an address from the stack.
  amx: { formats: [...strassen, 'Bfloat16Dot', 'Bfloat16Tiles', 'Int8Tiles', ...attention], codeKiB: 275, addresses: 6 },
  neon: { formats: [...floats, 'Int8Dot', ...attention], codeKiB: 150, addresses: 0, vectors: { Int8Dot: 2 } },
  neon_dotprod: { formats: [...floats, 'Int8Dot', ...attention], codeKiB: 150, addresses: 0 },
  neon_i8mm: { formats: [...floats, 'Int8Matrix', ...attention], codeKiB: 180, addresses: 0 },
  neon_bf16: { formats: [...floats, 'Bfloat16Dot', 'Bfloat16Matrix', 'Int8Matrix', ...attention], codeKiB: 180, addresses: 0 },
}

const stack = /\(%r[sb]p|\[sp|\[x29/
const vector = /%[xyz]mm|\b[qvds]\d+\b/
const jump = /^(?:j\w+|b(?:\.\w+)?|cbn?z|tbn?z)\s.*?([0-9a-f]+) </

/** Innermost loops with a format's products in a disassembled function: { instructions, vectors, addresses }, the last two on the stack. */
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

/** Every microkernel of an object: [{ format, rows, loops }]. */
async function tilesOf(object, objdump) {
  const output = await run(objdump, ['-d', '-C', '--no-show-raw-insn', object])
  const tiles = []
  let current = null
  for (const line of output.split('\n')) {
    const head = /^[0-9a-f]+ <(.*)>:$/.exec(line)
    if (head !== null) {
      // All AMX microkernels call one function.
      const name = head[1].replace(/.*Tiles::Tile<.*/, '').replaceAll(/(?<=[<,] ?)gabion::kernels::\w+::/g, '')
      const tile = /::(\w+(?:<[^>]*>)?)::(?:Tile<(\d+)>|Run\()/.exec(name)
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
  const { formats, codeKiB, addresses: mostAddresses, vectors: mostVectors = {} } = bounds[target]
  const problems = []
  const bytes = await codeBytes(object, `${prefix}size`)
  const tiles = await tilesOf(object, `${prefix}objdump`)
  let count = 0
  const worst = { vectors: 0, addresses: 0 }
  for (const wanted of formats) {
    const own = tiles.filter(({ format }) => format === wanted)
    if (own.length === 0) problems.push(`${target}: there is no microkernel of ${wanted}`)
    for (const { format, rows, lines } of own) {
      const loops = hotLoops(lines, format)
      if (loops.length === 0) problems.push(`${target}: ${format} of ${rows} rows has no loop with its products`)
      for (const { instructions, vectors, addresses } of loops) {
        count++
        worst.vectors = Math.max(worst.vectors, vectors)
        worst.addresses = Math.max(worst.addresses, addresses)
        if (vectors > (mostVectors[format] ?? 0) || addresses > mostAddresses) {
          problems.push(
            `${target}: ${format} of ${rows} rows: ${vectors} vectors and ${addresses} addresses are spilled in a loop of ${instructions} instructions; at most ${mostVectors[format] ?? 0} and ${mostAddresses} may`,
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
  if (problems.length > 0) throw new StepFailed('the kernels do not meet their bounds', { lines: problems })
}

if (isMain(import.meta.url)) {
  try {
    await checkKernels()
  } catch (error) {
    reportFailure(error)
  }
}
