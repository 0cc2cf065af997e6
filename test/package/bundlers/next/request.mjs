// Starts what Next.js put into its standalone folder, asks it once, and prints the answer.
// usage: request.mjs external|bundled
import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'

const probe = createServer().listen(0, '127.0.0.1')
await once(probe, 'listening')
const { port } = probe.address()
probe.close()
const folder = join(import.meta.dirname, `.${process.argv[2]}`, 'standalone')
const env = { ...process.env, PORT: String(port), HOSTNAME: '127.0.0.1' }
const server = spawn(process.execPath, ['server.js'], { cwd: folder, env, stdio: ['ignore', 'pipe', 'inherit'] })
try {
  for await (const text of server.stdout) if (/Ready/.test(String(text))) break
  const response = await fetch(`http://127.0.0.1:${port}/embed`)
  const answer = await response.text()
  if (response.ok) console.log(answer)
  else {
    console.error(answer)
    process.exitCode = 1
  }
} finally {
  server.kill()
}
