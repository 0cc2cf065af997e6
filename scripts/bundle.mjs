#!/usr/bin/env node
// Bundles the package's code: a few files instead of two hundred, so that a process that imports gabion starts in a fraction of the
// time. What is imported dynamically stays in files of its own, and so do the packages gabion depends on, but for those of
// bundled-packages.mjs. The parts of Apache ECharts that reports draw with go in, so that the library, 60 MB on disk, is no dependency of
// gabion's users.
//
// usage: node scripts/bundle.mjs [FOLDER]     FOLDER is the built package's code, default dist

import { cpSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { build } from 'esbuild'
import { bundledPackages, packagesOf, writeBundledLicenses } from './bundled-packages.mjs'
import { root } from './setup/run.mjs'

const folder = process.argv[2] ?? join(root, 'dist')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const outside = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies }).filter((name) => !bundledPackages.includes(name))

/** ECharts alone is minified: nobody reads a stack trace in it. */
const echarts = {
  name: 'echarts',
  setup({ onLoad }) {
    onLoad({ filter: /\/lib\/report\/echarts\.ts$/ }, async ({ path }) => {
      const { outputFiles } = await build({
        entryPoints: [path],
        write: false,
        bundle: true,
        minify: true,
        format: 'esm',
        platform: 'neutral',
        mainFields: ['module', 'main'],
        target: 'es2022',
        legalComments: 'none',
        banner: { js: '// Apache ECharts 6 (Apache-2.0), zrender (BSD-3-Clause) and tslib (0BSD); see NOTICE.' },
        define: { 'process.env.NODE_ENV': '"production"' },
        logLevel: 'warning',
      })
      return { contents: outputFiles[0].text, loader: 'js' }
    })
  },
}

/** Packages whose code is in the bundle. */
const included = new Set()

/**
 * gRPC's packages are CommonJS: they call `require` for Node's own modules, and read their definitions from `../../proto` of their folders.
 */
const grpc = {
  name: 'grpc',
  setup({ onLoad }) {
    onLoad({ filter: /\/lib\/server\/grpc\/packages\.ts$/ }, async ({ path }) => {
      const { outputFiles, metafile } = await build({
        entryPoints: [path],
        write: false,
        metafile: true,
        bundle: true,
        format: 'esm',
        platform: 'node',
        target: 'node20.19',
        legalComments: 'none',
        banner: {
          js: `
            import { createRequire } from 'node:module'
            import { join } from 'node:path'
            import { fileURLToPath } from 'node:url'
            const require = createRequire(import.meta.url)
            const __dirname = join(fileURLToPath(import.meta.url), '..', 'build', 'src')`,
        },
        logLevel: 'warning',
      })
      for (const name of packagesOf(metafile)) included.add(name)
      for (const from of ['grpc-health-check/proto', '@grpc/reflection/build/proto/grpc']) {
        const to = join(folder, 'parts', 'proto', from.endsWith('grpc') ? 'grpc' : '')
        cpSync(join(root, 'node_modules', from), to, { recursive: true })
      }
      return { contents: outputFiles[0].text, loader: 'js' }
    })
  },
}

/** The main entry. */
const MAIN = 'lib/index.ts'

/** The other entries: the subpaths of package.json's `exports`, and what this repository's own programs use. */
const OTHERS = ['ai-sdk/index', 'convert/index', 'projection/index', 'server/index', 'testing/index', 'internals']

/** Parts of Node that take a millisecond or more to import. */
const SLOW = ['node:crypto', 'node:http', 'node:https', 'node:util', 'node:zlib']

const options = {
  absWorkingDir: root,
  entryPoints: ['index', 'cli/main', ...OTHERS].map((name) => ({ in: `lib/${name}.ts`, out: name })),
  outdir: folder,
  chunkNames: 'parts/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  external: outside.flatMap((name) => [name, `${name}/*`]),
  legalComments: 'none',
  // A quarter less to install and to read at startup. Names and line breaks stay, so that stack traces remain useful.
  minifyWhitespace: true,
  lineLimit: 160,
  logLevel: 'warning',
}

/**
 * Puts the main entry's static imports into two files: what the command line needs at startup, and the rest. Modules share a
 * file if the same entries reach them, and each module that is imported dynamically is an entry too: without this, the main entry's
 * code would be in thirty files, each of which takes a third of a millisecond to find and read. So all entries but the command line import the
 * main one, which is loaded by then anyway.
 */
async function fewFilesForMain() {
  const { metafile } = await build({ ...options, plugins: [echarts, grpc], write: false, metafile: true })
  const importsOf = (name, kind) =>
    metafile.inputs[name].imports.filter((each) => !each.external && each.kind === kind).map(({ path }) => path)
  const reached = new Set([MAIN])
  for (const name of reached) for (const path of importsOf(name, 'import-statement')) reached.add(path)
  for (const name of reached) {
    const slow = metafile.inputs[name].imports.find(({ kind, path }) => kind === 'import-statement' && SLOW.includes(path))
    if (slow !== undefined) throw new Error(`${name} imports ${slow.path}, which makes every start slower: use lib/lazy.ts`)
  }
  const dynamic = Object.keys(metafile.inputs).flatMap((name) => importsOf(name, 'dynamic-import'))
  const others = new Set(
    [...dynamic, ...OTHERS.map((name) => `lib/${name}.ts`)].filter((name) => !reached.has(name)).map((name) => join(root, name)),
  )
  const withMain = (contents) => ({ contents: `${contents}\nimport ${JSON.stringify(join(root, MAIN))}\n`, loader: 'ts', resolveDir: root })
  return {
    name: 'few-files-for-main',
    setup({ onLoad, onResolve, resolve }) {
      onLoad({ filter: /\.ts$/, namespace: 'file' }, ({ path }) =>
        others.has(path) ? { ...withMain(readFileSync(path, 'utf8')), resolveDir: dirname(path) } : undefined,
      )
      // A part of the main entry that is also imported dynamically, through a module that re-exports it.
      onResolve({ filter: /^\./, namespace: 'file' }, async ({ path, kind, resolveDir, pluginData }) => {
        if (kind !== 'dynamic-import' || pluginData === 'again') return undefined
        const found = await resolve(path, { kind, resolveDir, pluginData: 'again' })
        return reached.has(relative(root, found.path)) ? { path: found.path, namespace: 'part-of-main' } : undefined
      })
      onLoad({ filter: /.*/, namespace: 'part-of-main' }, ({ path }) => withMain(`export * from ${JSON.stringify(path)}`))
    },
  }
}

const { metafile } = await build({ ...options, metafile: true, plugins: [echarts, grpc, await fewFilesForMain()] })
for (const name of packagesOf(metafile)) included.add(name)
writeBundledLicenses(included, join(folder, 'NOTICES.bundled.txt'))
