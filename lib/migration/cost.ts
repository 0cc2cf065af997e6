// Owns the estimate of monthly embedding costs in a cloud and on own machines. Knows no currency: results are in the prices' one.

import { checkInteger, checkNumber, outOfRange } from '../options.js'

/** Inputs of the estimate. */
export interface CostAssumptions {
  textsPerDay: number
  tokensPerText: number
  /** Cloud: price per million tokens. */
  pricePerMillionTokens: number
  /** Price of one own machine per month. */
  machinePerMonth: number
  /** Texts per second of one machine. */
  textsPerSecond: number
  /** Peak load over mean load; machines are counted for the peak. */
  peakFactor: number
  daysPerMonth: number
}

/** The estimate. */
export interface CostEstimate {
  readonly assumptions: Readonly<CostAssumptions>
  readonly textsPerMonth: number
  readonly tokensPerMonth: number
  readonly cloudPerMonth: number
  /** Machines needed at peak load. */
  readonly machines: number
  readonly localPerMonth: number
  /** Cloud minus local. */
  readonly savingPerMonth: number
  /** Texts per day from which one machine is cheaper than the cloud; null if never. */
  readonly breakEvenTextsPerDay: number | null
}

/**
 * Estimates the monthly cost.
 *
 * @throws GabionError `INVALID_ARGUMENT` for a number that is not positive
 */
export function estimateCost(assumptions: CostAssumptions): CostEstimate {
  for (const [name, value] of Object.entries(assumptions) as [string, number][]) {
    if (!(checkNumber(name, value) >= 0)) throw outOfRange(name, '0 or more', value)
    if (value === 0 && name !== 'pricePerMillionTokens' && name !== 'machinePerMonth' && name !== 'textsPerDay')
      throw outOfRange(name, 'more than 0', value)
  }
  const { textsPerDay, tokensPerText, pricePerMillionTokens, machinePerMonth, textsPerSecond, peakFactor } = assumptions
  const daysPerMonth = checkInteger('daysPerMonth', assumptions.daysPerMonth, 1)
  const secondsPerDay = 86_400
  const textsPerMonth = textsPerDay * daysPerMonth
  const tokensPerMonth = textsPerMonth * tokensPerText
  const cloudPerMonth = (tokensPerMonth / 1e6) * pricePerMillionTokens
  const machinesFor = (texts: number): number => Math.max(1, Math.ceil((texts * peakFactor) / secondsPerDay / textsPerSecond))
  const machines = machinesFor(textsPerDay)
  const localPerMonth = machines * machinePerMonth
  const perTextPerDay = ((daysPerMonth * tokensPerText) / 1e6) * pricePerMillionTokens
  const breakEven = perTextPerDay === 0 ? Infinity : Math.ceil(machinePerMonth / perTextPerDay)
  return {
    assumptions: { ...assumptions },
    textsPerMonth,
    tokensPerMonth,
    cloudPerMonth,
    machines,
    localPerMonth,
    savingPerMonth: cloudPerMonth - localPerMonth,
    // If one machine cannot serve that load, each further machine has the same ratio of cost to load.
    breakEvenTextsPerDay: Number.isFinite(breakEven) && machinesFor(breakEven) === 1 ? breakEven : null,
  }
}
