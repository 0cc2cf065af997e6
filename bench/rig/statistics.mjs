// Order statistics of measured times, and turns between contenders. Knows nothing of what is measured.

import { setImmediate } from 'node:timers/promises'

/**
 * The q-quantile (0…1) by linear interpolation between order statistics (Hyndman and Fan's type 7).
 *
 * @param {ArrayLike<number>} values
 * @param {number} q
 * @returns {number} NaN for no values
 */
export function quantile(values, q) {
  const sorted = Float64Array.from(values).sort()
  if (sorted.length === 0) return Number.NaN
  const position = (sorted.length - 1) * q
  const below = Math.floor(position)
  const low = sorted[below]
  return low + (sorted[Math.min(below + 1, sorted.length - 1)] - low) * (position - below)
}

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
 * Lets contenders take turns until each has made `turns` × `callsPerTurn` timed calls, so that drift of the machine hits all alike.
 * A turn begins with one untimed call, which brings the contender's code and weights back into the caches that the one before
 * it has used; who begins changes from round to round.
 *
 * @template Input
 * @param {object} options
 * @param {{ name: string, call: (input: Input) => unknown, after?: (microseconds: number) => void }[]} options.contenders
 *   a call that returns a promise is timed until it is settled; `after` is told of each timed call
 * @param {readonly Input[]} options.inputs used in turn
 * @param {number} options.turns
 * @param {number} options.callsPerTurn
 * @returns {Promise<Map<string, Float64Array>>} microseconds of every timed call, by name
 */
export async function takeTurns({ contenders, inputs, turns, callsPerTurn }) {
  const times = new Map(contenders.map(({ name }) => [name, new Float64Array(turns * callsPerTurn)]))
  let next = 0
  for (let turn = 0; turn < turns; turn++) {
    for (let place = 0; place < contenders.length; place++) {
      const { name, call, after } = contenders[(turn + place) % contenders.length]
      const own = times.get(name)
      // What earlier calls left to the event loop (finalizers, messages) is done before the clock runs.
      await setImmediate()
      for (let index = -1; index < callsPerTurn; index++) {
        const input = inputs[next++ % inputs.length]
        const start = performance.now()
        const result = call(input)
        if (result instanceof Promise) await result
        const microseconds = (performance.now() - start) * 1000
        if (index < 0) continue
        own[turn * callsPerTurn + index] = microseconds
        after?.(microseconds)
      }
    }
  }
  return times
}

/**
 * The difference of two contenders' medians, turn by turn: drift from turn to turn cancels out.
 *
 * @param {Float64Array} a times of `takeTurns`
 * @param {Float64Array} b of the same run
 * @param {number} callsPerTurn
 * @returns {{ median: number, low: number, high: number }} with the bounds of a 95 % interval (order statistics of the sign test)
 */
export function differenceByTurns(a, b, callsPerTurn) {
  const turns = a.length / callsPerTurn
  const ofTurn = (values, turn) => quantile(values.subarray(turn * callsPerTurn, (turn + 1) * callsPerTurn), 0.5)
  const differences = Float64Array.from({ length: turns }, (_, turn) => ofTurn(a, turn) - ofTurn(b, turn)).sort()
  const reach = Math.ceil(0.98 * Math.sqrt(turns))
  const at = (index) => differences[Math.min(turns - 1, Math.max(0, index))]
  const middle = (turns - 1) / 2
  return { median: quantile(differences, 0.5), low: at(Math.floor(middle) - reach), high: at(Math.ceil(middle) + reach) }
}
