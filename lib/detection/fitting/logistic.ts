// Owns the fit of a logistic regression: row weights, a ridge penalty towards an optional prior, L-BFGS.
// Knows numbers only. Computes in double precision in a fixed order, so that equal input gives equal bits.

import { GabionError } from '../../errors.js'
import { dot } from '../../statistics/vectors.js'

/** Rows of features, row-major. */
export interface FeatureRows {
  readonly rows: number
  readonly columns: number
  /** rows × columns. */
  readonly values: Float32Array
}

/** Weights of features, and the intercept. */
export interface Weights {
  readonly weights: Float64Array
  readonly intercept: number
}

/** Pairwise comparisons: the first row of each pair should score above the second. */
export interface RowPairs {
  /** Indices of rows, pair by pair. */
  readonly higher: ArrayLike<number>
  readonly lower: ArrayLike<number>
  /** Weight of every pair. */
  readonly weights: ArrayLike<number>
}

/** Input of {@link fitLogistic}. */
export interface LogisticProblem {
  readonly features: FeatureRows
  /** 1 or 0 per row. */
  readonly targets: ArrayLike<number>
  /** Weight of each row; their mean should be 1. */
  readonly weights: ArrayLike<number>
  /** Comparisons that add `log(1 + exp(-(higher's logit - lower's)))` each to the loss. */
  readonly pairs?: RowPairs
  /** Inverse strength of the penalty: `|w - prior|² / (2C)` is added to the weighted sum of log losses. */
  readonly c: number
  /** Center of the penalty; default zeros. The intercept is never penalized. */
  readonly prior?: Weights
  /** Initial point of the search, if one near the solution is known; default: the prior. */
  readonly start?: Weights
  readonly signal?: AbortSignal
}

/** A fitted model: `logit = intercept + weights · features`. */
export interface LogisticModel extends Weights {
  readonly iterations: number
}

/** Steps stored for the approximation of the curvature. */
const MEMORY = 12
const MAX_ITERATIONS = 500
/**
 * The fit has converged when no element of the gradient, divided by the number of rows, exceeds this. With a penalty of
 * C = 0.001 and 10,000 rows, weights are then within 1e-5 of the solution.
 */
const TOLERANCE = 1e-6

/**
 * Minimizes the penalized weighted log loss by L-BFGS (Nocedal and Wright, Numerical Optimization, algorithm 7.5) with
 * backtracking; the problem is convex, so the solution does not depend on the path.
 */
export function fitLogistic(problem: LogisticProblem): LogisticModel {
  const { features } = problem
  const size = features.columns + 1
  const point = new Float64Array(size)
  const start = problem.start ?? problem.prior
  if (start !== undefined) {
    point.set(start.weights)
    point[size - 1] = start.intercept
  }
  let { loss, gradient } = evaluate(problem, point)
  const steps: { moved: Float64Array; turned: Float64Array; scale: number }[] = []
  let iterations = 0
  while (iterations < MAX_ITERATIONS && largest(gradient) / features.rows > TOLERANCE) {
    if (problem.signal?.aborted === true) throw new GabionError('ABORTED', 'the fit was aborted', { cause: problem.signal.reason })
    iterations++
    const direction = descent(gradient, steps)
    const slope = dot(direction, gradient)
    let length = steps.length === 0 ? 1 / Math.max(1, Math.sqrt(dot(gradient, gradient))) : 1
    let next = advance(point, direction, length)
    let found = evaluate(problem, next)
    while (found.loss > loss + 1e-4 * length * slope && length > 1e-12) {
      length /= 2
      next = advance(point, direction, length)
      found = evaluate(problem, next)
    }
    if (!(found.loss < loss)) break
    const moved = next.map((value, i) => value - (point[i] as number))
    const turned = found.gradient.map((value, i) => value - (gradient[i] as number))
    const curvature = dot(moved, turned)
    if (curvature > 0) {
      steps.push({ moved, turned, scale: 1 / curvature })
      if (steps.length > MEMORY) steps.shift()
    }
    point.set(next)
    ;({ loss, gradient } = found)
  }
  return { weights: point.slice(0, size - 1), intercept: point[size - 1] as number, iterations }
}

/** `intercept + weights · row` of every row. */
export function logitsOf(features: FeatureRows, weights: ArrayLike<number>, intercept: number): Float64Array {
  const { rows, columns, values } = features
  const logits = new Float64Array(rows)
  // Four independent sums, since each addition would otherwise wait for the previous one.
  const whole = columns - (columns % 4)
  for (let row = 0, at = 0; row < rows; row++, at += columns) {
    let [first, second, third, fourth] = [0, 0, 0, 0]
    for (let i = 0; i < whole; i += 4) {
      first += (values[at + i] as number) * (weights[i] as number)
      second += (values[at + i + 1] as number) * (weights[i + 1] as number)
      third += (values[at + i + 2] as number) * (weights[i + 2] as number)
      fourth += (values[at + i + 3] as number) * (weights[i + 3] as number)
    }
    for (let i = whole; i < columns; i++) first += (values[at + i] as number) * (weights[i] as number)
    logits[row] = first + second + (third + fourth) + intercept
  }
  return logits
}

function evaluate(problem: LogisticProblem, point: Float64Array): { loss: number; gradient: Float64Array } {
  const { features, targets, weights, c, prior } = problem
  const { rows, columns, values } = features
  const logits = logitsOf(features, point, point[columns] as number)
  const residuals = new Float64Array(rows)
  let loss = 0
  for (let row = 0; row < rows; row++) {
    const [logit, weight, target] = [logits[row] as number, weights[row] as number, targets[row] as number]
    loss += weight * (softplus(logit) - target * logit)
    residuals[row] = weight * (1 / (1 + Math.exp(-logit)) - target)
  }
  if (problem.pairs !== undefined) loss += addPairs(problem.pairs, logits, residuals)
  const gradient = new Float64Array(columns + 1)
  for (let row = 0, at = 0; row < rows; row++, at += columns) {
    const residual = residuals[row] as number
    if (residual === 0) continue
    for (let i = 0; i < columns; i++) gradient[i]! += residual * (values[at + i] as number)
    gradient[columns]! += residual
  }
  for (let i = 0; i < columns; i++) {
    const away = (point[i] as number) - (prior?.weights[i] ?? 0)
    loss += (away * away) / (2 * c)
    gradient[i]! += away / c
  }
  return { loss, gradient }
}

/** The loss of the comparisons; their derivatives by logit are added to `residuals`. */
function addPairs({ higher, lower, weights }: RowPairs, logits: Float64Array, residuals: Float64Array): number {
  let loss = 0
  for (let pair = 0; pair < weights.length; pair++) {
    const [above, below, weight] = [higher[pair] as number, lower[pair] as number, weights[pair] as number]
    const difference = (logits[above] as number) - (logits[below] as number)
    loss += weight * softplus(-difference)
    const residual = weight / (1 + Math.exp(difference))
    residuals[above]! -= residual
    residuals[below]! += residual
  }
  return loss
}

/** log(1 + exp(value)) without overflow. */
function softplus(value: number): number {
  return Math.max(value, 0) + Math.log1p(Math.exp(-Math.abs(value)))
}

/** The two-loop recursion: minus the inverse Hessian approximation times the gradient. */
function descent(gradient: Float64Array, steps: readonly { moved: Float64Array; turned: Float64Array; scale: number }[]): Float64Array {
  const direction = gradient.map((value) => -value)
  const alphas: number[] = []
  for (const { moved, turned, scale } of steps.toReversed()) {
    const alpha = scale * dot(moved, direction)
    alphas.unshift(alpha)
    add(direction, turned, -alpha)
  }
  const last = steps.at(-1)
  if (last !== undefined) {
    const factor = 1 / (last.scale * dot(last.turned, last.turned))
    for (let i = 0; i < direction.length; i++) direction[i]! *= factor
  }
  for (const [index, { moved, turned, scale }] of steps.entries()) {
    add(direction, moved, (alphas[index] as number) - scale * dot(turned, direction))
  }
  return direction
}

function add(to: Float64Array, values: Float64Array, factor: number): void {
  for (let i = 0; i < to.length; i++) to[i]! += factor * (values[i] as number)
}

function advance(point: Float64Array, direction: Float64Array, length: number): Float64Array {
  return point.map((value, i) => value + length * (direction[i] as number))
}

function largest(values: Float64Array): number {
  let found = 0
  for (const value of values) found = Math.max(found, Math.abs(value))
  return found
}
