#!/usr/bin/env node
// Puts the parts of Apache ECharts that lib/report draws with into one file of the built package, so that the library, 60 MB on disk,
// is no dependency of its users.
//
// usage: node scripts/bundle-echarts.mjs [FOLDER]     FOLDER is the built package's code, default dist

import { join } from 'node:path'
import { build } from 'esbuild'
import { root } from './setup/run.mjs'

const folder = process.argv[2] ?? join(root, 'dist')

await build({
  absWorkingDir: root,
  entryPoints: ['lib/report/echarts.ts'],
  outfile: join(folder, 'report', 'echarts.js'),
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
