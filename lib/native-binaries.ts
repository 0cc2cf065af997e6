// Owns the location of the native binaries and the check before loading: a truncated file would crash the process, not throw.

import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { readElfFile } from './elf-file.js'
import { packagePath } from './package-folder.js'

/** The platform this process runs on. */
export const HOST_TARGET = `${process.platform}-${process.arch}`

/** Name of the package with this platform's binaries, for installations whose main package has none. */
export const PLATFORM_PACKAGE = `gabion-${HOST_TARGET}`

/** The addon and the library it loads, in one folder. */
export const BINARIES = ['gabion.node', 'libgabion_onnx.so.1'] as const

/** Location of the binaries. */
export interface BinariesLocation {
  /** Built from this checkout, part of this package, or in the platform's package. */
  kind: 'local' | 'own' | 'platform'
  /** Folder of the package that contains them. */
  packageFolder: string
  folder: string
}

/** Finds the binaries: this package's own if it has any, else those of the platform's package; null without either. */
export function binariesLocation(): BinariesLocation | null {
  const local = packagePath('build', 'Release')
  if (!process.env.PREBUILDS_ONLY && existsSync(local)) return { kind: 'local', packageFolder: packagePath(), folder: local }
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

/** Checks the headers of the binaries in a folder; null if they are complete and for this architecture. Takes some microseconds. */
export function problemOfBinaries(folder: string): BinaryProblem | null {
  for (const name of BINARIES) {
    const problem = problemOf(join(folder, name))
    if (problem !== null) return problem
  }
  return null
}

function problemOf(file: string): BinaryProblem | null {
  try {
    const { arch, bytes, expectedBytes } = readElfFile(file)
    const broken = (what: string): BinaryProblem => ({ what, unreadable: false })
    if (arch === null) return broken(`${file} is not a binary (${String(bytes)} bytes)`)
    if (bytes < expectedBytes) return broken(`${file} is truncated: ${String(bytes)} of ${String(expectedBytes)} bytes`)
    if (arch !== process.arch) return broken(`${file} is for ${arch}, this Node is for ${process.arch}`)
    return null
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const unreadable = code === 'EACCES' || code === 'EPERM'
    if (unreadable) return { what: `${file} may not be read by this user`, unreadable }
    return { what: code === 'ENOENT' ? `${file} is missing` : `${file} cannot be read (${String(code)})`, unreadable }
  }
}
