// The package managers that install gabion in the smoke run, each at a fixed version, from npm's registry.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from '../setup/run.mjs'
import { ownNothing } from './environment.mjs'
import { nodeRelease, packageManager } from './nodes.mjs'

const npmOptions = (registry) => ['--registry', registry, '--prefer-offline', '--no-audit', '--no-fund', '--no-update-notifier']

const pnpmOptions = (registry, folder) => ['--registry', registry, '--store-dir', join(folder, '.store'), '--ignore-workspace']

/** Node of the newest release: some managers need it, and yarn 1 refuses a dependency of Fastify on Node 20. */
const newestNode = async () => (await nodeRelease('latest')).path

const arch = (x64, arm64) => (process.arch === 'x64' ? x64 : arm64)

const pnpm12 = () => packageManager(`@pnpm/exe.linux-${process.arch}`, '12.21.0', 'pnpm')
const yarn4 = () => packageManager('@yarnpkg/cli-dist', '4.18.1', 'bin/yarn.js')
export const bun = () => packageManager(`@oven/bun-linux-${arch('x64', 'aarch64')}`, '1.4.5', 'bin/bun')
const deno = () => packageManager(`@deno/linux-${process.arch}-glibc`, '2.9.6', 'deno')

/**
 * Name → how a manager installs, and the command that runs a program in such a folder where it is not `node`.
 * `install` throws if the manager exits with anything but 0.
 */
export const managers = {
  npm: {
    install: (registry, folder, what) => inside(folder, 'npm', ['install', ...npmOptions(registry), ...what]),
  },
  'npm 10': {
    install: async (registry, folder, what) =>
      inside(folder, process.execPath, [
        await packageManager('npm', '10.9.9', 'bin/npm-cli.js'),
        'install',
        ...npmOptions(registry),
        ...what,
      ]),
  },
  'pnpm 10': {
    install: async (registry, folder, what) =>
      inside(folder, process.execPath, [
        await packageManager('pnpm', '10.34.8', 'bin/pnpm.cjs'),
        'add',
        ...pnpmOptions(registry, folder),
        ...what,
      ]),
  },
  'pnpm 11': {
    install: async (registry, folder, what) =>
      inside(folder, await newestNode(), [
        await packageManager('pnpm', '11.28.10', 'bin/pnpm.mjs'),
        'add',
        ...pnpmOptions(registry, folder),
        ...what,
      ]),
  },
  'pnpm 12': {
    install: async (registry, folder, what) => inside(folder, await pnpm12(), ['add', ...pnpmOptions(registry, folder), ...what]),
  },
  'yarn 1': {
    install: async (registry, folder, what) =>
      inside(folder, await newestNode(), [
        await packageManager('yarn', '1.22.22', 'bin/yarn.js'),
        ...['add', '--registry', registry, '--cache-folder', join(folder, '.cache'), '--non-interactive', '--no-lockfile'],
        ...what,
      ]),
  },
  // Without node_modules: Yarn resolves imports itself.
  'yarn 4': {
    install: async (registry, folder, what) => {
      const lines = [`npmRegistryServer: ${registry}`, 'unsafeHttpWhitelist: ["127.0.0.1"]', 'enableGlobalCache: false']
      writeFileSync(join(folder, '.yarnrc.yml'), `${[...lines, 'enableTelemetry: false', 'npmMinimalAgeGate: 0'].join('\n')}\n`)
      writeFileSync(join(folder, 'yarn.lock'), '')
      await inside(folder, process.execPath, [await yarn4(), 'add', ...what])
    },
    runner: async () => [process.execPath, await yarn4(), 'node'],
  },
  bun: {
    install: async (registry, folder, what) => {
      writeFileSync(join(folder, 'bunfig.toml'), `[install]\nregistry = "${registry}"\ncache = "${join(folder, '.cache')}"\n`)
      await inside(folder, await bun(), ['add', ...what])
    },
    runner: async () => [await bun()],
  },
  deno: {
    install: async (registry, folder, what) => {
      writeFileSync(join(folder, '.npmrc'), `registry=${registry}\n`)
      const env = { DENO_DIR: join(folder, '.deno') }
      await inside(folder, await deno(), ['add', ...what.map((name) => `npm:${name}`)], env)
      await inside(folder, await deno(), ['install'], env)
    },
    runner: async () => [await deno(), 'run', '--allow-all'],
  },
}

/** The managers of the short form: one of each kind, at its newest release. */
export const quickManagers = ['npm', 'pnpm 12', 'yarn 4']

async function inside(folder, command, args, env = {}) {
  mkdirSync(folder, { recursive: true })
  await run(command, args, { cwd: folder, env: { ...ownNothing(), ...env } })
}
