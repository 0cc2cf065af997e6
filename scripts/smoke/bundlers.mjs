// A project per bundler, from test/package/bundlers: gabion left out of the bundle works, and gabion in the bundle says how to leave it out.

import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { root, run } from '../setup/run.mjs'
import { ownNothing } from './environment.mjs'
import { bun, managers } from './managers.mjs'

/**
 * Name → packages; the command that builds, `kind` being `external` or `bundled`; the program made by it, and what runs it where that is
 * not Node; and the line for the tool in the error's text.
 */
const bundlers = {
  Rollup: {
    project: 'rollup',
    packages: ['rollup@4.68.8', '@rollup/plugin-commonjs@29.0.3', '@rollup/plugin-json@6.1.0', '@rollup/plugin-node-resolve@16.0.3'],
    build: (kind) => ['npx', 'rollup', '--config', ...(kind === 'bundled' ? ['--configBundled'] : [])],
    line: 'external: [/^gabion/]',
  },
  webpack: {
    project: 'webpack',
    packages: ['webpack@5.113.0', 'webpack-cli@7.3.1'],
    build: (kind) => ['npx', 'webpack', ...(kind === 'bundled' ? ['--env', 'bundled'] : [])],
    line: 'externals: { gabion: "module gabion" }',
  },
  'Vite SSR': {
    project: 'vite',
    packages: ['vite@8.4.0'],
    build: (kind) => ['npx', 'vite', 'build', '--mode', kind],
    line: 'ssr: { external: ["gabion"] }',
  },
  'bun build': {
    project: null,
    packages: [],
    build: async (kind) => [
      await bun(),
      ...['build', 'embed.mjs', '--target=bun', `--outfile=${kind}/embed.mjs`],
      ...(kind === 'external' ? ['--external', 'gabion'] : []),
    ],
    runner: async () => [await bun()],
    line: 'bun build --external gabion',
  },
  'Next.js standalone': {
    project: 'next',
    packages: ['next@16.4.6', 'react@19.3.1', 'react-dom@19.3.1'],
    build: () => ['npx', 'next', 'build'],
    program: (kind) => ({ script: 'request.mjs', args: [kind] }),
    line: 'serverExternalPackages: ["gabion"]',
  },
}

/** The bundlers of the short form: esbuild has ways of its own. */
const quickBundlers = ['Rollup']

/**
 * The ways of the bundlers.
 *
 * @param context as of waysOf
 * @param makeApp returns an app's folder with gabion installed by npm
 * @param probe runs a program in a folder and checks its report
 */
export function bundlerWays({ place, quick, registry }, makeApp, probe) {
  const ways = {}
  for (const name of quick ? quickBundlers : Object.keys(bundlers)) {
    const bundler = bundlers[name]
    let project
    const ready = () => (project ??= makeProject(join(place, `with ${name}`), bundler, registry, makeApp))
    ways[`external in ${name}`] = async () => {
      const folder = await ready()
      await buildIn(folder, bundler, 'external')
      await probe(folder, await programOf(bundler, 'external'))
    }
    ways[`bundled by ${name}, says how to leave it out`] = async () => {
      const folder = await ready()
      await buildIn(folder, bundler, 'bundled')
      const said = await probe(folder, await programOf(bundler, 'bundled')).catch((error) => error)
      if (!(said instanceof Error)) throw new Error('the bundle works')
      for (const text of ['gabion was bundled; mark it external', bundler.line])
        if (!said.stderr?.includes(text)) throw new Error(`expected '${text}', found: ${said.stderr ?? said.message}`)
    }
  }
  return ways
}

async function makeProject(folder, { project, packages }, registry, makeApp) {
  const app = await makeApp()
  mkdirSync(folder, { recursive: true })
  await run('cp', ['-al', `${app}/.`, folder])
  if (project !== null) cpSync(join(root, 'test', 'package', 'bundlers', project), folder, { recursive: true })
  if (packages.length > 0) await managers.npm.install(registry, folder, packages)
  return folder
}

async function buildIn(folder, { build }, kind) {
  const [command, ...args] = await build(kind)
  // Next.js's configuration reads BUNDLED: its command takes no options of one's own.
  const env = { ...ownNothing(), NODE_OPTIONS: '', NEXT_TELEMETRY_DISABLED: '1', BUNDLED: kind === 'bundled' ? '1' : '' }
  await run(command, args, { cwd: folder, env })
}

async function programOf({ runner, program = (kind) => ({ script: `${kind}/embed.mjs` }) }, kind) {
  return { ...program(kind), runner: await runner?.() }
}
