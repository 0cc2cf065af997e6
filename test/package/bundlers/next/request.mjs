// Starts what Next.js put into its standalone folder, asks it once, and prints the answer.
// usage: request.mjs external|bundled
import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'

/** Next.js takes no port 0, so a port is found here; if another program takes it in between, the server says so and ends. */
async function startServer(folder) {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  const env = { ...process.env, PORT: String(port), HOSTNAME: '127.0.0.1' }
  const server = spawn(process.execPath, ['server.js'], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let errors = ''
  server.stderr.on('data', (text) => {
    errors += text
    process.stderr.write(text)
  })
  for await (const text of server.stdout) if (/Ready/.test(String(text))) return { server, port }
  await once(server, 'close')
  if (/EADDRINUSE/.test(errors)) return startServer(folder)
  throw new Error('the server ended before it was ready')
}

const { server, port } = await startServer(join(import.meta.dirname, `.${process.argv[2]}`, 'standalone'))
try {
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
