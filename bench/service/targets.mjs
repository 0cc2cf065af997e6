// The results as a table of rows: what, figure, target, met or missed.

const ms = (value) => (Number.isFinite(value) ? `${value.toFixed(value < 10 ? 2 : 0)} ms` : 'none')
const rate = (value) => value.toFixed(0)
const percent = (value) => `${(100 * value).toFixed(1)} %`
const times = (value) => `${value.toFixed(value < 10 ? 2 : 0)} times`

/** @typedef {{ what: string, figure: string, target?: string, met?: boolean }} Row */

const fact = (what, figure) => ({ what, figure })
const target = (what, figure, expected, met) => ({ what, figure, target: expected, met })

const rowsOf = {
  http: ({ library, capacity, share, floats, half, halfAtRandom, full, twice }) => [
    fact('library alone, texts per second', rate(library)),
    target('HTTP, base64, requests per second', `${rate(capacity)}, ${percent(share)} of the library`, '≥ 85 %', share >= 0.85),
    fact('HTTP, lists of numbers, requests per second', `${rate(floats)}, ${percent(floats / library)} of the library`),
    target(
      'half load, evenly spaced requests: p50, p99',
      `${ms(half.p50)}, ${ms(half.p99)}: ${times(half.p99 / half.p50)}`,
      'p99 ≤ 3 × p50',
      half.p99 <= 3 * half.p50,
    ),
    fact('… with Poisson arrivals', `${ms(halfAtRandom.p50)}, ${ms(halfAtRandom.p99)}: ${times(halfAtRandom.p99 / halfAtRandom.p50)}`),
    ...Object.entries({ half, full, twice }).map(([name, { loopP99Ms }]) =>
      target(`event loop late at ${name} load, p99`, ms(loopP99Ms), '< 5 ms', loopP99Ms < 5),
    ),
    fact('at capacity: p99 of accepted', `${ms(full.p99)}, ${shed(full)}`),
    target(
      'at twice the capacity: p99 of accepted',
      `${ms(twice.p99)}: ${times(twice.p99 / full.p99)} that at capacity`,
      '≤ 2 times',
      twice.p99 <= 2 * full.p99,
    ),
    target('at twice the capacity: refused', shed(twice), 'with 429', (twice.statuses[429] ?? 0) > 0 && only(twice, ['200', '429'])),
  ],
  soak: ({ seconds, rss }) => {
    // Garbage collection makes a sawtooth: the peaks of the two halves are compared.
    const half = Math.ceil(rss.length / 2)
    const [early, late] = [Math.max(...rss.slice(0, half)), Math.max(...rss.slice(half))]
    const figure = `at most ${(early / 1e6).toFixed(0)} MB in the first half, ${(late / 1e6).toFixed(0)} MB in the second`
    return [target(`resident memory over ${seconds} s of twice the capacity`, figure, 'flat (grows ≤ 5 %)', late <= 1.05 * early)]
  },
  grpc: ({ library, capacity, closed, half, twice }) => [
    fact('gRPC (ghz), requests per second', `${rate(capacity)}, ${percent(capacity / library)} of the library's ${rate(library)}`),
    fact('gRPC, 8 calls at once: p50, p99', `${ms(closed.p50)}, ${ms(closed.p99)}`),
    fact('gRPC, half load: p50, p99', `${ms(half.p50)}, ${ms(half.p99)}`),
    fact('gRPC, twice the capacity: p50, p99 of accepted', `${ms(twice.p50)}, ${ms(twice.p99)}; ${rate(twice.accepted)} per second`),
    target(
      'gRPC, twice the capacity: refused',
      shed(twice),
      'with RESOURCE_EXHAUSTED',
      (twice.statuses.ResourceExhausted ?? 0) > 0 && only(twice, ['OK', 'ResourceExhausted']),
    ),
  ],
  fastapi: peerRows,
  infinity: peerRows,
  'infinity-onnx': peerRows,
}

function peerRows({ title, own, peer }) {
  // Results of an earlier form have no loads.
  const loads = Object.entries(peer.loads ?? {}).flatMap(([kind, byClients]) =>
    Object.entries(byClients).map(([clients, theirs]) => {
      const ours = own.loads[kind][clients]
      const figure = `${loaded(theirs)}; gabion ${loaded(ours)}: ${times(ours.perSecond / theirs.perSecond)}`
      const isAhead = ours.perSecond > theirs.perSecond && ours.p50 < theirs.p50 && ours.p99 < theirs.p99
      return target(`${title}, ${kind} texts, ${clients} at once: requests per second, p50, p99`, figure, 'gabion ahead', isAhead)
    }),
  )
  if (loads.length === 0) return []
  const megabytes = ({ rss }) => `${(rss / 1e6).toFixed(0)} MB`
  return [
    ...loads,
    target(
      '… half of each one’s load: p50, p99',
      `${ms(peer.half.p50)}, ${ms(peer.half.p99)}; gabion ${ms(own.half.p50)}, ${ms(own.half.p99)}`,
      'gabion ahead',
      own.half.p50 < peer.half.p50,
    ),
    target(
      '… from its start to the first vector',
      `${ms(peer.startMs)}; gabion ${ms(own.startMs)}`,
      'gabion ahead',
      own.startMs < peer.startMs,
    ),
    target('… resident memory after these loads', `${megabytes(peer)}; gabion ${megabytes(own)}`, 'gabion ahead', own.rss < peer.rss),
  ]
}

function loaded({ perSecond, p50, p99 }) {
  return `${rate(perSecond)}, ${ms(p50)}, ${ms(p99)}`
}

function shed({ statuses }) {
  return Object.entries(statuses)
    .map(([status, count]) => `${status}: ${count}`)
    .join(', ')
}

function only({ statuses }, allowed) {
  return Object.keys(statuses).every((status) => allowed.includes(status))
}

/** @returns {Row[]} */
export function targetsOf(parts) {
  return Object.entries(parts).flatMap(([name, part]) => rowsOf[name](part))
}

/** The rows as Markdown. */
export function tableOf(rows) {
  const line = ({ what, figure, target: expected = '', met }) =>
    `| ${what} | ${figure} | ${expected} | ${met === undefined ? '' : met ? 'met' : 'MISSED'} |`
  return ['| what | figure | target | |', '| --- | --- | --- | --- |', ...rows.map(line)].join('\n')
}
