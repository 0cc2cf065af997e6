// Owns packages that are loaded when something of them is first used: starting costs only what every user needs.
// For places that may not wait; others use a dynamic import.

import { createRequire } from 'node:module'
import type NodeCrypto from 'node:crypto'
import type NodeUtil from 'node:util'
import type NodeZlib from 'node:zlib'

const requireFrom = createRequire(import.meta.url)

/** Gives a function that loads a package at its first call. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the name stands for the type
export function lazily<Package>(name: string): () => Package {
  let loaded: Package | undefined
  return () => (loaded ??= requireFrom(name) as Package)
}

// Node's own: importing them runs all of their getters, and with crypto's that is web cryptography. A start without them is
// some milliseconds shorter.

/** Node's `crypto`. */
export const nodeCrypto = lazily<typeof NodeCrypto>('node:crypto')

/** Node's `util`. */
export const nodeUtil = lazily<typeof NodeUtil>('node:util')

/** Node's `zlib`. */
export const nodeZlib = lazily<typeof NodeZlib>('node:zlib')
