// Owns reading of ELF headers: target architecture and expected file size. Loads no binary.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

/** A file's properties by its header. */
export interface ElfFile {
  /** Node's name of the architecture, or `machine N` for others; null if this is no 64-bit ELF file. */
  arch: string | null
  bytes: number
  /** Minimum size: the end of the section header table. */
  expectedBytes: number
}

const HEADER_BYTES = 64
/** Node's architecture name by `e_machine`. */
const MACHINES = new Map([
  [62, 'x64'],
  [183, 'arm64'],
])

/** Reads a file's header; throws the file system's error. */
export function readElfFile(file: string): ElfFile {
  const descriptor = openSync(file, 'r')
  try {
    const header = Buffer.alloc(HEADER_BYTES)
    const read = readSync(descriptor, header, 0, HEADER_BYTES, 0)
    const bytes = fstatSync(descriptor).size
    const isElf = read === HEADER_BYTES && header.toString('latin1', 0, 5) === '\x7fELF\x02'
    if (!isElf) return { arch: null, bytes, expectedBytes: HEADER_BYTES }
    const machine = header.readUInt16LE(18)
    // Section header table: offset (e_shoff), entry size (e_shentsize), entries (e_shnum).
    const expectedBytes = Number(header.readBigUInt64LE(40)) + header.readUInt16LE(58) * header.readUInt16LE(60)
    return { arch: MACHINES.get(machine) ?? `machine ${String(machine)}`, bytes, expectedBytes }
  } finally {
    closeSync(descriptor)
  }
}
