// Owns confidence bounds of a share.

/**
 * Upper end of the one-sided 95 % interval of Clopper and Pearson (1934) for `hits` of `n`: the share p at which `hits` or
 * fewer have probability 5 %. Found by bisection of the binomial distribution, which needs no special functions.
 */
export function upperBound(hits: number, n: number): number {
  if (hits >= n) return 1
  let [low, high] = [hits / n, 1]
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2
    if (binomialTail(hits, n, middle) > 0.05) low = middle
    else high = middle
  }
  return high
}

/** Lower end of the one-sided 95 % interval of Clopper and Pearson. */
export function lowerBound(hits: number, n: number): number {
  return hits === 0 ? 0 : 1 - upperBound(n - hits, n)
}

/** Probability of at most `hits` of `n` at a share of `p` each. */
function binomialTail(hits: number, n: number, p: number): number {
  let logTerm = n * Math.log1p(-p)
  let sum = Math.exp(logTerm)
  for (let k = 1; k <= hits; k++) {
    logTerm += Math.log((n - k + 1) / k) + Math.log(p / (1 - p))
    sum += Math.exp(logTerm)
  }
  return sum
}
