// Owns what the head of an ELF file tells: which processor it is for, and how long it has to be. Loads nothing.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

/** What is known of a file by its first bytes. */
export interface ElfFile {
  /** Node's name of the processor, or `machine N` for others; null if this is no 64-bit ELF file. */
  arch: string | null
  bytes: number
  /** Bytes that it must have: where its table of sections ends. */
  expectedBytes: number
}

const HEADER_BYTES = 64
/** `e_machine` by Node's name of the processor. */
const MACHINES = new Map([
  [62, 'x64'],
  [183, 'arm64'],
])

/** Reads a file's head; throws what the file system says. */
export function readElfFile(file: string): ElfFile {
  const descriptor = openSync(file, 'r')
  try {
    const header = Buffer.alloc(HEADER_BYTES)
    const read = readSync(descriptor, header, 0, HEADER_BYTES, 0)
    const bytes = fstatSync(descriptor).size
    const isElf = read === HEADER_BYTES && header.toString('latin1', 0, 5) === '\x7fELF\x02'
    if (!isElf) return { arch: null, bytes, expectedBytes: HEADER_BYTES }
    const machine = header.readUInt16LE(18)
    // Table of sections: where it starts, size of an entry, entries.
    const expectedBytes = Number(header.readBigUInt64LE(40)) + header.readUInt16LE(58) * header.readUInt16LE(60)
    return { arch: MACHINES.get(machine) ?? `machine ${String(machine)}`, bytes, expectedBytes }
  } finally {
    closeSync(descriptor)
  }
}
