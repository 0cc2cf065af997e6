// Owns packages that are loaded when something of them is first used: starting costs only what every user needs.
// For places that may not wait; others use a dynamic import.

import { createRequire } from 'node:module'

const requireFrom = createRequire(import.meta.url)

/** Gives a function that loads a package at its first call. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the name stands for the type
export function lazily<Package>(name: string): () => Package {
  let loaded: Package | undefined
  return () => (loaded ??= requireFrom(name) as Package)
}
