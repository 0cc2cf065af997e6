// What deploy/ says is right: its files are valid, and what they start runs, is ready where they look, and gives the metrics that they name.

import assert from 'node:assert/strict'
import { readFile, writeFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { parse, parseAllDocuments } from 'yaml'
import { until } from './ending.js'
import { startGabion, type GabionProcess } from './gabion-process.js'
import { promtool, startPrometheus } from './prometheus-server.js'
import { runPython } from './python-tools.js'
import { RedisServer } from './redis-server.js'
import { get, KEY, post } from './service-under-test.js'

const MANIFESTS = ['deploy/kubernetes/gabion.yaml', 'deploy/kubernetes/worker.yaml']
/** The oldest release that the manifests are for, and the newest that the validator knows. */
const RELEASES = ['1.29', '1.37']

interface Service {
  command: string[]
}

interface Probe {
  httpGet: { path: string; port: string }
}

interface Container {
  args: string[]
  startupProbe?: Probe
  readinessProbe: Probe
  livenessProbe: Probe
}

interface Manifest {
  kind: string
  metadata: { name: string }
  spec: {
    template: { spec: { containers: Container[] } }
    metrics: { pods: { metric: { name: string } } }[]
  }
}

interface Ready {
  port: number
  metricsPort: number
}

describe('deploy/', () => {
  let redis: RedisServer
  let folder: string
  let compose: string
  let manifests: Manifest[]
  const services: Record<string, GabionProcess<Ready>> = {}

  before(async () => {
    redis = await RedisServer.start()
    folder = await mkdtemp(join(tmpdir(), 'gabion-deploy-'))
    // As Compose itself replaces variables before it reads anything.
    compose = (await readFile('deploy/compose.yaml', 'utf8')).replace(/(?<!\$)\$\{GABION_API_KEYS(:\?[^}]*)?\}/g, KEY)
    const texts = await Promise.all(MANIFESTS.map((file) => readFile(file, 'utf8')))
    manifests = texts.flatMap((text) => parseAllDocuments(text).map((document) => document.toJS() as Manifest))
  })
  after(async () => {
    await Promise.all(Object.values(services).map((service) => service.stop()))
    await redis.remove()
    await rm(folder, { recursive: true })
  })

  /** Starts what a file starts, but on free ports and with the Redis of this test. */
  async function start(name: string, args: readonly string[], prefix: string): Promise<GabionProcess<Ready>> {
    const own = args.map((one) => one.replace(/^redis:\/\/redis:6379$|^\$\(REDIS_URL\)$/, redis.url))
    const ports = own[0] === 'serve' ? ['--port', '0', '--grpc-port', '0'] : ['--metrics-port', '0']
    return (services[name] = await startGabion<Ready>([...own, ...ports, '--redis-prefix', prefix], { GABION_API_KEYS: KEY }))
  }

  it('has manifests that Kubernetes takes, without a field that it does not know', async () => {
    for (const release of RELEASES) {
      await runPython(['-m', 'kubernetes_validate', '--strict', '-k', release, ...MANIFESTS])
    }
  })

  it('has a Compose file as the specification says', async () => {
    const names = JSON.parse(await runPython(['test/service/python/compose.py', compose])) as string[]
    assert.deepEqual(names.sort(), ['gabion', 'prometheus', 'redis', 'worker'])
    const { redis: database } = (parse(compose) as { services: Record<string, Service> }).services
    // The same promise as the Redis of the kill tests makes.
    assert.match(database!.command.join(' '), /^redis-server --appendonly yes --appendfsync always$/)
  })

  it('has alert rules that Prometheus takes, and that fire when they should', async () => {
    const rules = resolve('deploy/prometheus-alerts.yaml')
    assert.match(await promtool(['check', 'rules', rules]), /SUCCESS: 9 rules found/)
    const tests = join(folder, 'rules-test.yaml')
    await writeFile(tests, (await readFile('test/fixtures/prometheus-alerts-test.yaml', 'utf8')).replace('RULES', rules))
    assert.match(await promtool(['test', 'rules', tests]), /SUCCESS/)
  })

  it('has a dashboard that Grafana reads as it is written', async () => {
    const different = async (file: string): Promise<unknown> => JSON.parse(await runPython(['test/service/python/grafana.py', file]))
    assert.deepEqual(await different('deploy/grafana.json'), [])
    const misspelled = join(folder, 'grafana.json')
    await writeFile(misspelled, (await readFile('deploy/grafana.json', 'utf8')).replace('"gridPos"', '"gridPosition"'))
    assert.deepEqual(await different(misspelled), ['dashboard.panels[0].gridPosition'])
  })

  it('starts with Kubernetes what is ready where the probes look', async () => {
    const deployments = manifests.filter(({ kind }) => kind === 'Deployment')
    assert.equal(deployments.length, 2)
    for (const { metadata, spec } of deployments) {
      const [container] = spec.template.spec.containers
      const { ready } = await start(`kubernetes ${metadata.name}`, container!.args, 'kubernetes')
      for (const probe of [container!.startupProbe, container!.readinessProbe, container!.livenessProbe]) {
        if (probe === undefined) continue
        const { path, port } = probe.httpGet
        const { status } = await get(`http://127.0.0.1:${port === 'metrics' ? ready.metricsPort : ready.port}${path}`)
        assert.equal(status, 200, `${metadata.name} ${path}`)
      }
    }
  })

  it('starts with Compose what its Prometheus scrapes, and what the autoscalers go by is there', async () => {
    const { services: wanted } = parse(compose) as { services: Record<string, Service> }
    const gabion = await start('gabion', wanted.gabion!.command, 'compose')
    const worker = await start('worker', wanted.worker!.command, 'compose')
    const [http, metrics] = [`127.0.0.1:${gabion.ready.port}`, `127.0.0.1:${worker.ready.metricsPort}`]
    await writeFile(join(folder, 'key'), KEY)
    const config = (await readFile('deploy/prometheus.yaml', 'utf8'))
      .replace('gabion:8080', http)
      .replace('worker:9464', metrics)
      .replace('/tmp/key', join(folder, 'key'))
      .replace('/etc/prometheus/alerts.yaml', resolve('deploy/prometheus-alerts.yaml'))
      .replace(/scrape_interval: \S+/, 'scrape_interval: 1s')
    const { query } = await startPrometheus(config)

    const authorization = { authorization: `Bearer ${KEY}` }
    await post(`http://${http}/v1/embeddings`, { input: 'hello' }, authorization)
    await redis.command('XADD', '{compose}:exchanges', '*', 'conversation', 'c', 'user', 'Hello', 'assistant', 'Hello, how can I help?')
    await until('the scrapes show what was done', async () => {
      const [texts, exchanges] = [await query('gabion_texts_total'), await query('sum by (job) (gabion_exchanges_total)')]
      return texts.get('gabion') === 1 && exchanges.get('gabion-worker') === 1
    })
    assert.deepEqual(Object.fromEntries(await query('up')), { gabion: 1, 'gabion-worker': 1 })
    const scalers = manifests.filter(({ kind }) => kind === 'HorizontalPodAutoscaler')
    assert.equal(scalers.length, 2)
    for (const { metadata, spec } of scalers) {
      for (const { pods } of spec.metrics) assert.equal((await query(pods.metric.name)).get(metadata.name), 0, pods.metric.name)
    }
    const known = new Set<string>()
    for (const at of [http, metrics]) {
      const text = await (await fetch(`http://${at}/metrics`, { headers: authorization })).text()
      for (const [, name] of text.matchAll(/^# TYPE (\w+)/gm)) known.add(name!)
      // Names of Node's own metrics are prom-client's.
      const ours = text.split('\n').filter((line) => /^(# \w+ )?gabion_/.test(line))
      assert.ok(ours.length > 20)
      await promtool(['check', 'metrics'], `${ours.join('\n')}\n`)
    }
    // Rules and dashboard ask for nothing that is not there.
    for (const file of ['deploy/prometheus-alerts.yaml', 'deploy/grafana.json']) {
      const asked = (await readFile(file, 'utf8')).match(/gabion_\w+/g) ?? []
      assert.ok(asked.length >= 8)
      for (const name of asked) assert.ok(known.has(name.replace(/_bucket$/, '')), `${file}: ${name}`)
    }
  })
})
