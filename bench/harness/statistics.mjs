// Order statistics of measured times, and interleaving of implementations. Knows nothing of what is measured.

import { setImmediate } from 'node:timers/promises'
import { quantile } from '../../dist/internals.js'

export { quantile }

/**
 * @typedef {{ calls: number, min: number, p50: number, p90: number, p99: number, max: number }} Summary
 *
 * @param {ArrayLike<number>} values
 * @returns {Summary} in the unit of the values
 */
export function summarize(values) {
  const at = (q) => quantile(values, q)
  return { calls: values.length, min: at(0), p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) }
}

/**
 * Interleaves implementations until each has made `rounds` × `callsPerRound` timed calls, so that drift of the machine affects all equally.
 * A block begins with one untimed call, which brings the implementation's code and weights back into the caches that the previous one
 * has used; the first implementation changes from round to round.
 *
 * @template Input
 * @param {object} options
 * @param {{ name: string, call: (input: Input) => unknown, after?: (microseconds: number) => void }[]} options.implementations
 *   a call that returns a promise is timed until it is settled; `after` receives each timed call
 * @param {readonly Input[]} options.inputs used cyclically
 * @param {number} options.rounds
 * @param {number} options.callsPerRound
 * @returns {Promise<Map<string, Float64Array>>} microseconds of every timed call, by name
 */
export async function interleave({ implementations, inputs, rounds, callsPerRound }) {
  const times = new Map(implementations.map(({ name }) => [name, new Float64Array(rounds * callsPerRound)]))
  let next = 0
  for (let round = 0; round < rounds; round++) {
    for (let offset = 0; offset < implementations.length; offset++) {
      const { name, call, after } = implementations[(round + offset) % implementations.length]
      const own = times.get(name)
      // Work that earlier calls left to the event loop (finalizers, messages) is done before the clock starts.
      await setImmediate()
      for (let index = -1; index < callsPerRound; index++) {
        const input = inputs[next++ % inputs.length]
        const start = performance.now()
        const result = call(input)
        if (result instanceof Promise) await result
        const microseconds = (performance.now() - start) * 1000
        if (index < 0) continue
        own[round * callsPerRound + index] = microseconds
        after?.(microseconds)
      }
    }
  }
  return times
}

/**
 * The difference of two implementations' medians, round by round: drift between rounds cancels out.
 *
 * @param {Float64Array} a times of `interleave`
 * @param {Float64Array} b of the same run
 * @param {number} callsPerRound
 * @returns {{ median: number, low: number, high: number }} with the bounds of a 95 % interval (order statistics of the sign test)
 */
export function differenceByRounds(a, b, callsPerRound) {
  const rounds = a.length / callsPerRound
  const ofRound = (values, round) => quantile(values.subarray(round * callsPerRound, (round + 1) * callsPerRound), 0.5)
  const differences = Float64Array.from({ length: rounds }, (_, round) => ofRound(a, round) - ofRound(b, round)).sort()
  const reach = Math.ceil(0.98 * Math.sqrt(rounds))
  const at = (index) => differences[Math.min(rounds - 1, Math.max(0, index))]
  const middle = (rounds - 1) / 2
  return { median: quantile(differences, 0.5), low: at(Math.floor(middle) - reach), high: at(Math.ceil(middle) + reach) }
}
