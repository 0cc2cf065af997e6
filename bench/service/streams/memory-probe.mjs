// Loaded into a proxy of the benchmark: tells what is in use after a garbage collection, in MiB. Resident memory alone says little, since the
// heap grows as long as that is cheaper than to collect.

process.on('message', () => {
  globalThis.gc()
  const { heapUsed, external } = process.memoryUsage()
  process.send((heapUsed + external) / 2 ** 20)
})
process.channel.unref()
