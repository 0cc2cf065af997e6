// What an ELF library asks of its system, offers and is protected by, as readelf says.

import { readFileSync } from 'node:fs'
import { run } from '../setup/run.mjs'
import { compareVersions } from '../setup/toolchain.mjs'

/** Properties of the library; `broken` alone if it is none. */
export async function inspectElf(file) {
  const content = readFileSync(file)
  const end = endOfSections(content)
  if (end === null) return { broken: 'is not a 64-bit ELF file' }
  if (end > content.length) return { broken: `is truncated: has ${content.length} bytes of ${end}` }
  const say = (option) => run('readelf', [option, '--wide', file])
  const [header, segments, dynamic, symbols, versionInfo] = await Promise.all(
    ['--file-header', '--segments', '--dynamic', '--dyn-syms', '--version-info'].map(say),
  )
  const newest = (name) => {
    const versions = [...versionInfo.matchAll(new RegExp(`\\b${name}_(\\d[\\d.]*)`, 'g'))].map((match) => match[1])
    return versions.sort(compareVersions).at(-1)
  }
  const one = (tag) => new RegExp(`\\(${tag}\\)[^[]*\\[(.*)\\]`).exec(dynamic)?.[1]
  const rows = symbols.split('\n').map((line) => line.trim().split(/\s+/))
  const named = rows.filter(([, , , , binding]) => ['GLOBAL', 'WEAK', 'UNIQUE'].includes(binding))
  const where = (isDefined) => named.filter(([, , , , , , section]) => (section !== 'UND') === isDefined).map((row) => row[7])
  return {
    content,
    machine: /Machine:\s+(.*)/.exec(header)?.[1],
    needed: [...dynamic.matchAll(/\(NEEDED\)[^[]*\[(.*)\]/g)].map((match) => match[1]),
    soname: one('SONAME'),
    runpath: one('RUNPATH') ?? one('RPATH'),
    glibc: newest('GLIBC'),
    glibcxx: newest('GLIBCXX'),
    exports: where(true).sort(),
    imports: where(false),
    protections: [
      ...(/^\s*GNU_RELRO\b/m.test(segments) ? ['RELRO'] : []),
      ...(/\bNOW\b/.test(dynamic) ? ['BIND_NOW'] : []),
      ...(/^\s*GNU_STACK\b.*\sRW\s/m.test(segments) ? ['NX'] : []),
    ],
  }
}

/** Where the table of sections, the last part of an ELF file, ends; null if this is none. */
function endOfSections(content) {
  if (content.length < 64 || content.toString('latin1', 0, 5) !== '\x7fELF\x02') return null
  return Number(content.readBigUInt64LE(40)) + content.readUInt16LE(58) * content.readUInt16LE(60)
}
