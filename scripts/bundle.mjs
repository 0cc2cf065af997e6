#!/usr/bin/env node
// Bundles the package's code: a few files instead of two hundred, so that a process that imports gabion starts in a fraction of the
// time. What is imported dynamically stays in files of its own, and so do the packages gabion depends on, but for those of
// bundled-packages.mjs. The parts of Apache ECharts that reports draw with go in, so that the library, 60 MB on disk, is no dependency of
// gabion's users.
//
// usage: node scripts/bundle.mjs [FOLDER]     FOLDER is the built package's code, default dist

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { bundledPackages, writeBundledLicences } from './bundled-packages.mjs'
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

await build({
  absWorkingDir: root,
  entryPoints: ['index', 'ai-sdk/index', 'cli/main', 'internals'].map((name) => ({ in: `lib/${name}.ts`, out: name })),
  outdir: folder,
  chunkNames: 'parts/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  external: outside.flatMap((name) => [name, `${name}/*`]),
  legalComments: 'none',
  plugins: [echarts],
  logLevel: 'warning',
})
writeBundledLicences(join(folder, 'NOTICES.bundled.txt'))
