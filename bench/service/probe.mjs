// Preloaded into the service under load: how late a timer of its event loop is. Prints the 99th percentile since the last time at SIGUSR2.
// A timer due each 2 ms is late by what held the loop; its own grain of about a millisecond is in it.

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
