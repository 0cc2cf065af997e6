// Owns the package's root folder: models, protocol and notices next to the code are found from here. Where a bundler has moved the code
// away from them, the error says so.

import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { GabionError } from './errors.js'

/** The fields of package.json that are read. */
interface Manifest {
  readonly name?: string
  readonly version: string
}

/** Undefined in CommonJS that a bundler has made. */
const OWN_URL = import.meta.url as string | undefined

/**
 * Sources, bundles and their chunks are at different depths, so the root is where package.json is.
 *
 * @throws GabionError `RUNTIME_MISSING` if that is another package's, because the code was bundled into it
 */
function findPackage(): { folder: string; manifest: Manifest } {
  if (OWN_URL?.startsWith('file:') !== true) throw wasBundled()
  let folder = dirname(fileURLToPath(OWN_URL))
  while (!existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) folder = dirname(folder)
  const file = join(folder, 'package.json')
  const manifest = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Manifest) : null
  if (manifest?.name !== 'gabion') throw wasBundled()
  return { folder, manifest }
}

/** The error of code that runs apart from its package. */
export function wasBundled(cause?: unknown): GabionError {
  return new GabionError(
    'RUNTIME_MISSING',
    'gabion was bundled; mark it external: it finds its model and binaries in its own folder of node_modules\n' +
      '  Next.js   serverExternalPackages: ["gabion"]\n' +
      '  webpack   externals: { gabion: "module gabion" }, with output.module; "node-commonjs gabion" without\n' +
      '  Vite      ssr: { external: ["gabion"] }\n' +
      '  Rollup    external: [/^gabion/]\n' +
      '  esbuild   --external:gabion\n' +
      '  Bun       bun build --external gabion',
    cause === undefined ? undefined : { cause },
  )
}

/** True if this code runs from another file than its own: some bundlers keep the address of the file that it came from. */
export function isBundled(): boolean {
  const { stack } = new Error('')
  if (stack === undefined || OWN_URL === undefined) return OWN_URL === undefined
  return !stack.includes(OWN_URL) && !stack.includes(fileURLToPath(OWN_URL))
}

const { folder: PACKAGE_FOLDER, manifest: MANIFEST } = findPackage()

/** Absolute path of a file or folder in the package. */
export function packagePath(...parts: string[]): string {
  return join(PACKAGE_FOLDER, ...parts)
}

/** This package's version. */
export function packageVersion(): string {
  return MANIFEST.version
}
