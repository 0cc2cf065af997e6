// Owns reading of the heads of native binaries (ELF, PE, Mach-O): which system, processor and C library a file is for, and how long it
// must be. Loads no binary.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

/** C library of a Linux binary. */
export type Libc = 'glibc' | 'musl'

/** What a binary runs on. */
export interface BinaryTarget {
  platform: 'linux' | 'win32' | 'darwin'
  /** Node's name of the architecture, or `machine N` for others. */
  arch: string
  /** Null where it does not say: statically linked, or of another system than Linux. */
  libc: Libc | null
}

/** A file's properties by its head. */
export interface BinaryFile {
  /** Null if this is no 64-bit binary of a known format. */
  target: BinaryTarget | null
  bytes: number
  /** Minimum size: the end of the last part that the head names. */
  expectedBytes: number
}

/** Bytes of a file from an offset; zeros behind its end. */
type Read = (offset: number, length: number) => Buffer

/** Node's name of an architecture by ELF's `e_machine`, PE's `Machine` and Mach-O's `cputype`. */
const ELF_MACHINES: Readonly<Record<number, string>> = { 62: 'x64', 183: 'arm64' }
const PE_MACHINES: Readonly<Record<number, string>> = { 0x8664: 'x64', 0xaa64: 'arm64' }
const MACH_O_MACHINES: Readonly<Record<number, string>> = { 0x01000007: 'x64', 0x0100000c: 'arm64' }

/** The longest table that is read; a damaged head may name any length. */
const MAX_TABLE_BYTES = 1 << 16
const HEAD_BYTES = 64

/** Reads a file's head; throws the file system's error. */
export function readBinaryFile(file: string): BinaryFile {
  const descriptor = openSync(file, 'r')
  try {
    const bytes = fstatSync(descriptor).size
    const read: Read = (offset, length) => {
      const buffer = Buffer.alloc(Math.min(length, MAX_TABLE_BYTES))
      if (offset < bytes) readSync(descriptor, buffer, 0, buffer.length, offset)
      return buffer
    }
    const known = bytes < HEAD_BYTES ? null : (readElf(read) ?? readPortableExecutable(read) ?? readMachO(read))
    return { target: known?.target ?? null, bytes, expectedBytes: known?.expectedBytes ?? HEAD_BYTES }
  } finally {
    closeSync(descriptor)
  }
}

type Known = Pick<BinaryFile, 'expectedBytes'> & { target: BinaryTarget }

const archOf = (machines: Readonly<Record<number, string>>, machine: number): string => machines[machine] ?? `machine ${String(machine)}`

/** The whole entries of a table. */
function entriesOf(table: Buffer, bytes: number): Buffer[] {
  return Array.from({ length: Math.floor(table.length / bytes) }, (_, index) => table.subarray(index * bytes, (index + 1) * bytes))
}

const PROGRAM_HEADER_BYTES = 56
/** Kinds of program headers, `p_type`. */
const [PT_LOAD, PT_DYNAMIC, PT_INTERP] = [1, 2, 3]
/** Kinds of entries of the dynamic section, `d_tag`. */
const [DT_NEEDED, DT_STRTAB] = [1, 5]

function readElf(read: Read): Known | null {
  const head = read(0, HEAD_BYTES)
  if (head.toString('latin1', 0, 5) !== '\x7fELF\x02') return null
  // Section header table: offset (e_shoff), entry size (e_shentsize), entries (e_shnum).
  const expectedBytes = number64(head, 40) + head.readUInt16LE(58) * head.readUInt16LE(60)
  return { target: { platform: 'linux', arch: archOf(ELF_MACHINES, head.readUInt16LE(18)), libc: libcOf(read, head) }, expectedBytes }
}

/** A program names its loader, a library the C library that it needs. */
function libcOf(read: Read, head: Buffer): Libc | null {
  const size = head.readUInt16LE(54)
  if (size < PROGRAM_HEADER_BYTES) return null
  const segments = entriesOf(read(number64(head, 32), size * head.readUInt16LE(56)), size).map((entry) => ({
    type: entry.readUInt32LE(0),
    offset: number64(entry, 8),
    address: number64(entry, 16),
    bytes: number64(entry, 32),
  }))
  const loader = segments.find(({ type }) => type === PT_INTERP)
  if (loader !== undefined) return libcByName(textOf(read(loader.offset, loader.bytes), 0))
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC)
  if (dynamic === undefined) return null
  const tags = entriesOf(read(dynamic.offset, dynamic.bytes), 16).map((entry) => ({ tag: number64(entry, 0), value: number64(entry, 8) }))
  const strings = tags.find(({ tag }) => tag === DT_STRTAB)?.value ?? 0
  const segment = segments.find(({ type, address, bytes }) => type === PT_LOAD && strings >= address && strings < address + bytes)
  if (segment === undefined) return null
  const start = segment.offset + strings - segment.address
  const needed = tags.filter(({ tag }) => tag === DT_NEEDED).map(({ value }) => textOf(read(start + value, 64), 0))
  return needed.map(libcByName).find((libc) => libc !== null) ?? null
}

function libcByName(name: string): Libc | null {
  if (/ld-musl-|^libc\.musl-|^libc\.so$/.test(name)) return 'musl'
  return /ld-linux|^libc\.so\.6$/.test(name) ? 'glibc' : null
}

function readPortableExecutable(read: Read): Known | null {
  const head = read(0, HEAD_BYTES)
  const at = head.readUInt32LE(60)
  const file = read(at, 24)
  if (head.toString('latin1', 0, 2) !== 'MZ' || file.toString('latin1', 0, 4) !== 'PE\0\0') return null
  const table = at + 24 + file.readUInt16LE(20)
  const sections = entriesOf(read(table, file.readUInt16LE(6) * 40), 40)
  // Each section: size of its bytes in the file, and where they start.
  const expectedBytes = sections.reduce((end, section) => Math.max(end, section.readUInt32LE(16) + section.readUInt32LE(20)), table)
  return { target: { platform: 'win32', arch: archOf(PE_MACHINES, file.readUInt16LE(4)), libc: null }, expectedBytes }
}

const LC_SEGMENT_64 = 0x19

function readMachO(read: Read): Known | null {
  const head = read(0, HEAD_BYTES)
  if (head.readUInt32LE(0) !== 0xfeedfacf) return null
  const commands = read(32, head.readUInt32LE(20))
  let expectedBytes = 32 + commands.length
  for (let at = 0; at + 56 <= commands.length; at += Math.max(8, commands.readUInt32LE(at + 4))) {
    // A segment: offset in the file, and size there.
    if (commands.readUInt32LE(at) === LC_SEGMENT_64)
      expectedBytes = Math.max(expectedBytes, number64(commands, at + 40) + number64(commands, at + 48))
  }
  return { target: { platform: 'darwin', arch: archOf(MACH_O_MACHINES, head.readUInt32LE(4)), libc: null }, expectedBytes }
}

const number64 = (bytes: Buffer, at: number): number => Number(bytes.readBigUInt64LE(at))

function textOf(bytes: Buffer, at: number): string {
  const end = bytes.indexOf(0, at)
  return bytes.toString('latin1', at, end === -1 ? bytes.length : end)
}
