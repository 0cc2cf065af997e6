// Lets an addon that was linked with a newer glibc run with an older one. A symbol such as `pthread_create` has been there all along
// and only moved between glibc's libraries, which gave it a new version; the addon is changed to need the old version, which every glibc
// has. Functions that are really new are defined in native/binding/old_glibc.cpp.

import { readFileSync, writeFileSync } from 'node:fs'
import { StepFailed } from '../setup/run.mjs'
import { compareVersions } from '../setup/toolchain.mjs'

/** Newest version that stays: the one that ONNX Runtime's library needs. */
export const lowestGlibc = '2.28'

/** The first version of glibc on a machine (ELF's number of it). */
const firstVersions = new Map([
  [62, 'GLIBC_2.2.5'],
  [183, 'GLIBC_2.17'],
])

/** The same function under its first version in every glibc; only its library, or what it does with `errno`, has changed. */
const sameSince =
  /^(dladdr|dlclose|dlerror|dlopen|dlsym|exp|exp2f?|expf|hypot|log|log2f?|logf|pow|powf|__pthread_key_create|pthread_(attr_setstacksize|cond_\w+|create|detach|getspecific|join|key_create|key_delete|kill|mutex_\w+|once|setspecific|sigmask)|sem_\w+)$/

/** Changes the file in place. Throws StepFailed for a symbol that is new itself. */
export function lowerGlibc(file) {
  const elf = readFileSync(file)
  const machine = elf.readUInt16LE(18)
  const first = firstVersions.get(machine)
  const sections = readSections(elf)
  const named = (name) => sections.find((section) => section.name === name)
  const [needs, versions, symbols, strings] = ['.gnu.version_r', '.gnu.version', '.dynsym', '.dynstr'].map(named)
  const text = (offset) => cString(elf, strings.offset + offset)
  const entries = readNeeds(elf, needs)
  const base = entries.find((entry) => text(entry.name) === first)
  if (base === undefined) throw new StepFailed(`${file} needs nothing of ${first}, so that version cannot be named`)
  for (const entry of entries) {
    const version = /^GLIBC_(\d[\d.]*)$/.exec(text(entry.name))?.[1]
    if (version === undefined || compareVersions(version, lowestGlibc) <= 0) continue
    const users = usersOf(elf, versions, symbols, entry.index)
    const fresh = users.filter(({ name, weak }) => !weak && !sameSince.test(text(name))).map(({ name }) => text(name))
    if (fresh.length > 0)
      throw new StepFailed(`${file} needs glibc ${version} for ${fresh.join(', ')}: native/binding/old_glibc.cpp has no such function`)
    elf.writeUInt32LE(base.hash, entry.at)
    elf.writeUInt32LE(base.name, entry.at + 8)
  }
  writeFileSync(file, elf)
}

function readSections(elf) {
  const start = Number(elf.readBigUInt64LE(40))
  const [size, count, names] = [elf.readUInt16LE(58), elf.readUInt16LE(60), elf.readUInt16LE(62)]
  const sections = Array.from({ length: count }, (_, index) => {
    const at = start + index * size
    return { nameAt: elf.readUInt32LE(at), offset: Number(elf.readBigUInt64LE(at + 24)), bytes: Number(elf.readBigUInt64LE(at + 32)) }
  })
  return sections.map((section) => ({ ...section, name: cString(elf, sections[names].offset + section.nameAt) }))
}

/** All `Vernaux` records (one per version) of the `Verneed` records (one per library). */
function readNeeds(elf, section) {
  const entries = []
  for (let at = section.offset; ;) {
    let entryAt = at + elf.readUInt32LE(at + 8)
    for (let left = elf.readUInt16LE(at + 2); left > 0; left--) {
      entries.push({
        at: entryAt,
        hash: elf.readUInt32LE(entryAt),
        index: elf.readUInt16LE(entryAt + 6),
        name: elf.readUInt32LE(entryAt + 8),
      })
      entryAt += elf.readUInt32LE(entryAt + 12)
    }
    const next = elf.readUInt32LE(at + 12)
    if (next === 0) return entries
    at += next
  }
}

/** Symbols that are looked up under a version's index. */
function usersOf(elf, versions, symbols, index) {
  const users = []
  for (let symbol = 0; symbol * 2 < versions.bytes; symbol++) {
    if ((elf.readUInt16LE(versions.offset + symbol * 2) & 0x7fff) !== index) continue
    const at = symbols.offset + symbol * 24
    users.push({ name: elf.readUInt32LE(at), weak: elf[at + 4] >> 4 === 2 })
  }
  return users
}

const cString = (bytes, at) => bytes.toString('latin1', at, bytes.indexOf(0, at))
