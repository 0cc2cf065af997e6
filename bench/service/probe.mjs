// Preloaded into the service under load: measures the delay of an event-loop timer. On SIGUSR2 prints the 99th percentile since the previous signal.
// The delay of a 2 ms timer is the time the loop was blocked, plus the timer's resolution of about a millisecond.

const EVERY_MS = 2
let late = []
let due = performance.now() + EVERY_MS
setInterval(() => {
  const now = performance.now()
  if (late.length < 1_000_000) late.push(Math.max(0, now - due))
  due = now + EVERY_MS
}, EVERY_MS).unref()

process.on('SIGUSR2', () => {
  late.sort((a, b) => a - b)
  const p99 = late[Math.min(late.length - 1, Math.floor(0.99 * late.length))] ?? 0
  process.stderr.write(`${JSON.stringify({ probe: true, loopP99Ms: p99, rss: process.memoryUsage.rss() })}\n`)
  late = []
})
