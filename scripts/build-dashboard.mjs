#!/usr/bin/env node
// Builds the dashboard's page: one script with the parts of Apache ECharts that it uses, one style sheet with the palette; other files are copied.
//
// usage: node scripts/build-dashboard.mjs [FOLDER]     FOLDER is the built package's code, default dist

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { root } from './setup/run.mjs'

const target = join(process.argv[2] ?? join(root, 'dist'), 'dashboard')
const source = join(root, 'lib', 'server', 'dashboard')
mkdirSync(target, { recursive: true })

const common = { absWorkingDir: root, bundle: true, format: 'esm', target: 'es2022', legalComments: 'none', logLevel: 'warning' }
await build({
  ...common,
  entryPoints: [join(source, 'dashboard.ts')],
  outfile: join(target, 'dashboard.js'),
  minify: true,
  platform: 'browser',
  banner: { js: '// Apache ECharts 6 (Apache-2.0), zrender (BSD-3-Clause) and tslib (0BSD); see NOTICE.' },
  define: { 'process.env.NODE_ENV': '"production"' },
})

const palette = await build({ ...common, entryPoints: ['lib/report/palette.ts'], write: false })
const { declarations } = await import(`data:text/javascript;base64,${Buffer.from(palette.outputFiles[0].contents).toString('base64')}`)
const colors = `:root{${declarations('light')}}@media (prefers-color-scheme:dark){:root{${declarations('dark')}}}\n`
writeFileSync(join(target, 'dashboard.css'), colors + readFileSync(join(source, 'dashboard.css'), 'utf8'))
for (const file of ['index.html', 'favicon.svg']) copyFileSync(join(source, file), join(target, file))
