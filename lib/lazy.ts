// Owns packages that are loaded at their first use, so that startup costs only what every user needs.
// For synchronous code; asynchronous code uses a dynamic import.

import { createRequire } from 'node:module'
import type NodeCrypto from 'node:crypto'
import type NodeUtil from 'node:util'
import type NodeZlib from 'node:zlib'

/** Returns a function that loads a package at its first call. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the name stands for the type
export function lazily<Package>(name: string): () => Package {
  let loaded: Package | undefined
  return () => (loaded ??= createRequire(import.meta.url)(name) as Package)
}

// Node's built-in modules: an import runs all of their getters, and crypto's include Web Crypto. Startup without them takes
// some milliseconds less.

/** Node's `crypto`. */
export const nodeCrypto = lazily<typeof NodeCrypto>('node:crypto')

/** Node's `util`. */
export const nodeUtil = lazily<typeof NodeUtil>('node:util')

/** Node's `zlib`. */
export const nodeZlib = lazily<typeof NodeZlib>('node:zlib')
