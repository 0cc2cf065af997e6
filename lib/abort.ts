// Many waits on one AbortSignal share one listener. Depends on no other module.
//
// Node warns of a leak at the eleventh listener of a signal, but a hundred calls with one signal are no leak. The listener
// limit of a signal belongs to its owner, so it is not changed here.

const waitsOf = new WeakMap<AbortSignal, Set<() => void>>()

/**
 * Calls `listener` when the signal fires, once, in the order of the calls of this function; at once when it has fired.
 *
 * @param listener - must not throw
 * @returns a function that ends the wait; a no-op after the signal fired
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  if (signal.aborted) {
    listener()
    return () => undefined
  }
  const known = waitsOf.get(signal)
  const waits = known ?? new Set()
  if (known === undefined) {
    waitsOf.set(signal, waits)
    signal.addEventListener('abort', fire, { once: true })
  }
  // A wrapper, since the same function may be registered twice.
  const wait = (): void => listener()
  waits.add(wait)
  return () => {
    if (!waits.delete(wait) || waits.size > 0 || waitsOf.get(signal) !== waits) return
    waitsOf.delete(signal)
    signal.removeEventListener('abort', fire)
  }
}

function fire(this: AbortSignal): void {
  const waits = waitsOf.get(this)
  waitsOf.delete(this)
  for (const wait of waits ?? []) wait()
}
