// Owns the location of the native binaries and the check before loading: a truncated file would crash the process, not throw.

import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { readBinaryFile } from './binary-file.js'
import { HOST_LIBC, HOST_TARGET } from './host-target.js'
import { packagePath } from './package-folder.js'

/** Name of the package with this platform's binaries, for installations whose main package has none. */
export const PLATFORM_PACKAGE = `gabion-${HOST_TARGET}`

/** The addon, in the folder of the binaries. */
export const ADDON = 'gabion.node'

/** The library that the addon loads for graphs of standard operators; null where ONNX Runtime comes with no package. */
export const RUNTIME_LIBRARY = HOST_LIBC === 'glibc' ? 'libgabion_onnx.so.1' : null

/** The addon and the library it loads, in one folder. */
export const BINARIES: readonly string[] = RUNTIME_LIBRARY === null ? [ADDON] : [ADDON, RUNTIME_LIBRARY]

/** Location of the binaries. */
export interface BinariesLocation {
  /** Built on this machine, part of this package, or in the platform's package. */
  kind: 'local' | 'own' | 'platform'
  /** Folder of the package that contains them. */
  packageFolder: string
  folder: string
}

/**
 * Finds the binaries: built on this machine, this package's own, or those of the platform's package; null without any. With the variable
 * GABION_BINARIES they are in the folder that it names.
 */
export function binariesLocation(): BinariesLocation | null {
  const { GABION_BINARIES: named, PREBUILDS_ONLY } = process.env
  if (named) return { kind: 'local', packageFolder: packagePath(), folder: named }
  const local = packagePath('build', 'Release')
  if (!PREBUILDS_ONLY && existsSync(local)) return { kind: 'local', packageFolder: packagePath(), folder: local }
  const own = packagePath('prebuilds', HOST_TARGET)
  if (existsSync(own)) return { kind: 'own', packageFolder: packagePath(), folder: own }
  try {
    const packageFolder = dirname(createRequire(import.meta.url).resolve(`${PLATFORM_PACKAGE}/package.json`))
    return { kind: 'platform', packageFolder, folder: join(packageFolder, 'prebuilds', HOST_TARGET) }
  } catch {
    return null
  }
}

/** Why a binary cannot be loaded. */
export interface BinaryProblem {
  what: string
  /** True if the file cannot be read for lack of permission; its content may be valid. */
  unreadable: boolean
}

/** Checks the headers of the binaries in a folder; null if they are complete and for this platform. Takes some microseconds. */
export function problemOfBinaries(folder: string): BinaryProblem | null {
  for (const name of BINARIES) {
    const problem = problemOf(join(folder, name))
    if (problem !== null) return problem
  }
  return null
}

function problemOf(file: string): BinaryProblem | null {
  try {
    const { target, bytes, expectedBytes } = readBinaryFile(file)
    const broken = (what: string): BinaryProblem => ({ what, unreadable: false })
    if (target === null) return broken(`${file} is not a binary (${String(bytes)} bytes)`)
    if (bytes < expectedBytes) return broken(`${file} is truncated: ${String(bytes)} of ${String(expectedBytes)} bytes`)
    const found = `${target.platform}-${target.arch}${target.libc === 'musl' ? '-musl' : ''}`
    if (found !== HOST_TARGET) return broken(`${file} is for ${found}, this Node is for ${HOST_TARGET}`)
    return null
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const unreadable = code === 'EACCES' || code === 'EPERM'
    if (unreadable) return { what: `${file} may not be read by this user`, unreadable }
    return { what: code === 'ENOENT' ? `${file} is missing` : `${file} cannot be read (${String(code)})`, unreadable }
  }
}
