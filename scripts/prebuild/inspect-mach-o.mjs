// What a macOS library asks of its system, offers and is protected by, read from its load commands.

import { readFileSync } from 'node:fs'

const machines = new Map([
  [0x01000007, 'x64'],
  [0x0100000c, 'arm64'],
])

/** Load commands. */
const LC = { symbols: 0x2, library: 0xc, weakLibrary: 0x80000018, path: 0x8000001c, signature: 0x1d, build: 0x32 }

/** Properties of the library; `broken` alone if it is none. */
export function inspectMachO(file) {
  const content = readFileSync(file)
  if (content.length < 32 || content.readUInt32LE(0) !== 0xfeedfacf) return { broken: 'is not a 64-bit Mach-O file' }
  const commands = commandsOf(content)
  const of = (...kinds) => commands.filter(({ kind }) => kinds.includes(kind))
  const build = of(LC.build)[0]
  const names = symbolsOf(content, of(LC.symbols)[0])
  return {
    content,
    machine: machines.get(content.readUInt32LE(4)),
    needed: of(LC.library, LC.weakLibrary).map(({ at }) => textAt(content, at + content.readUInt32LE(at + 8))),
    runpath: of(LC.path).map(({ at }) => textAt(content, at + content.readUInt32LE(at + 8)))[0],
    exports: names.filter(({ isDefined }) => isDefined).map(({ name }) => name),
    imports: names.filter(({ isDefined }) => !isDefined).map(({ name }) => name),
    minimumSystem: build === undefined ? undefined : `${content.readUInt16LE(build.at + 14)}.${content[build.at + 13]}`,
    protections: of(LC.signature).length > 0 ? ['signature'] : [],
  }
}

function commandsOf(content) {
  const commands = []
  let at = 32
  for (let left = content.readUInt32LE(16); left > 0 && at + 8 <= content.length; left--) {
    commands.push({ kind: content.readUInt32LE(at), at })
    at += Math.max(8, content.readUInt32LE(at + 4))
  }
  return commands
}

/** External symbols, without the underscore that C puts before each. */
function symbolsOf(content, command) {
  if (command === undefined) return []
  const [table, count, strings] = [8, 12, 16].map((offset) => content.readUInt32LE(command.at + offset))
  const symbols = Array.from({ length: count }, (_, index) => {
    const at = table + index * 16
    return { name: textAt(content, strings + content.readUInt32LE(at)).slice(1), type: content[at + 4] }
  })
  // N_STAB entries are a debugger's; N_EXT is external, and type 0 undefined.
  return symbols
    .filter(({ type }) => (type & 0xe0) === 0 && (type & 1) === 1)
    .map(({ name, type }) => ({ name, isDefined: (type & 0x0e) !== 0 }))
}

const textAt = (content, at) => content.toString('latin1', at, content.indexOf(0, at))
