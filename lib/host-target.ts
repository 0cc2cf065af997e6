// Owns the name of the platform this process runs on: system, processor, and on Linux the C library.

import { readBinaryFile, type Libc } from './binary-file.js'

/** The C library of this Node, which its program names; null off Linux. */
export const HOST_LIBC = hostLibc()

/** The platform this process runs on, as packages of binaries are named after it: `linux-x64`, `linux-x64-musl`, `win32-x64` … */
export const HOST_TARGET = `${process.platform}-${process.arch}${HOST_LIBC === 'musl' ? '-musl' : ''}`

/** Platforms with a package of binaries. */
export const PACKAGED_TARGETS: readonly string[] = ['linux-x64', 'linux-arm64']

function hostLibc(): Libc | null {
  if (process.platform !== 'linux') return null
  try {
    const libc = readBinaryFile(process.execPath).target?.libc
    if (libc !== null && libc !== undefined) return libc
  } catch {
    // Not every system lets a process read its own program.
  }
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
  return header.glibcVersionRuntime === undefined ? 'musl' : 'glibc'
}
