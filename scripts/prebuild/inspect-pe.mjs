// What a Windows library asks of its system, offers and is protected by, as objdump says.

import { readFileSync } from 'node:fs'
import { run } from '../setup/run.mjs'

const machines = new Map([
  [0x8664, 'x64'],
  [0xaa64, 'arm64'],
])

/** Properties of the library; `broken` alone if it is none. */
export async function inspectPe(file) {
  const content = readFileSync(file)
  const at = content.length < 64 ? 0 : content.readUInt32LE(60)
  if (content.toString('latin1', 0, 2) !== 'MZ' || content.toString('latin1', at, at + 4) !== 'PE\0\0') {
    return { broken: 'is not a PE file' }
  }
  const text = await run('objdump', ['--private-headers', file])
  const number = (name) => /\d+/.exec(new RegExp(`^${name}\\s+(\\d+)`, 'm').exec(text)?.[1] ?? '0')[0]
  // Both tables end with an empty line.
  const imports = [...text.matchAll(/DLL Name: (.*)\n((?:.|\n)*?)\n\n/g)]
  const exported = /\[Ordinal\/Name Pointer\] Table.*\n((?:.|\n)*?)\n\n/.exec(text)?.[1] ?? ''
  return {
    content,
    machine: machines.get(content.readUInt16LE(at + 4)),
    needed: imports.map(([, name]) => name),
    imports: imports.flatMap(([, , table]) => table.split('\n').map((line) => line.trim().split(/\s+/).at(-1))),
    exports: [...exported.matchAll(/\] (?:\+base\[ *\d+\] +[0-9a-f]+ )?(\w+)$/gm)].map(([, name]) => name).sort(),
    minimumSystem: `${number('MajorSubsystemVersion')}.${number('MinorSubsystemVersion')}`,
    protections: ['HIGH_ENTROPY_VA', 'DYNAMIC_BASE', 'NX_COMPAT'].filter((flag) => new RegExp(`^\\s+${flag}$`, 'm').test(text)),
  }
}
