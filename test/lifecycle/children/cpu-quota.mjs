// The CPU quota of the process's control group falls to a twentieth of a processor and rises again while texts run: slower, and the same vectors.
//
// usage: cpu-quota.mjs GROUP      GROUP: folder of a control group that this process may be moved to

import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Embedder } from '../../../dist/index.js'
import { fail, mixedTexts, pause } from './texts.mjs'

const group = process.argv[2]
const isSecond = existsSync(join(group, 'cpu.max'))
const quota = (share) => {
  if (isSecond) writeFileSync(join(group, 'cpu.max'), share === null ? 'max 100000' : `${share * 100_000} 100000`)
  else writeFileSync(join(group, 'cpu.cfs_quota_us'), share === null ? '-1' : String(share * 100_000))
}
const embedder = await Embedder.load({ cache: false })
const texts = mixedTexts(40)
const expected = await embedder.embedBatch(texts)
writeFileSync(join(group, 'cgroup.procs'), String(process.pid))
for (const share of [0.05, null, 0.2, 2, null]) {
  quota(share)
  const running = embedder.embedBatch(texts)
  await pause(100)
  quota(null)
  const got = await running
  if (Buffer.compare(Buffer.from(got.data.buffer), Buffer.from(expected.data.buffer)) !== 0) fail('other vectors')
  quota(share)
  const other = await Embedder.load({ cache: false })
  if (other.info.threads < 1 || (share !== null && share <= 1 && other.info.threads !== 1))
    fail(`${other.info.threads} threads for a quota of ${share}`)
  other.dispose()
}
quota(null)
console.log('done')
