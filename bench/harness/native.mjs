// Builds the benches' own small C++ programs, for the machine that they run on.

import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findTools } from '../../scripts/setup/toolchain.mjs'

const SOURCES = fileURLToPath(new URL('../native', import.meta.url))
const FOLDER = fileURLToPath(new URL('../../build/bench', import.meta.url))

/** Compiles bench/native/`name`.cpp and returns the program's path. */
export async function buildProgram(name) {
  const { found } = await findTools('start')
  mkdirSync(FOLDER, { recursive: true })
  const program = join(FOLDER, name)
  execFileSync(found['g++'].path, ['-std=c++20', '-O3', '-march=native', '-pthread', '-o', program, join(SOURCES, `${name}.cpp`)])
  return program
}
