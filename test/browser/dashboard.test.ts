// The dashboard in a real browser, in front of a real service: it shows what happens without being loaded again.

import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { after, before, describe, it } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { REPLY_OUTCOMES } from '../../lib/alerts/alert.js'
import { alertOf } from '../../lib/alerts/new-alert.js'
import type { ExchangeVerdict } from '../../lib/detection/verdict.js'
import { parseTranscript } from '../../lib/index.js'
import type { SavedConversation } from '../../lib/monitor/saved-conversation.js'
import { MemoryStore } from '../../lib/server/conversations/memory-store.js'
import { withVerdict } from '../../lib/server/conversations/record.js'
import type { RunningService } from '../../lib/server/serve.js'
import { erosionMonitor, KEY, post, startService } from '../service/service-under-test.js'
import { openBrowser } from './chromium.js'

const SCREENSHOTS = 'build/screenshots'
const AXE = createRequire(import.meta.url).resolve('axe-core')

const VERDICT: ExchangeVerdict = {
  conversation: 'c',
  exchange: 1,
  exchangeId: null,
  alert: true,
  level: 'alert',
  likelihood: 0.93,
  risk: 1,
  drift: 0,
  acceleration: 0,
  cumulative: 1,
  ratio: null,
  reasons: ['breaks a rule (breaks 0.91, line 0.80)', 'guardrail strength 1.00 → 0.42'],
  truncated: false,
  timings: { tokenizeMs: 0, queueMs: 0, encodeMs: 0, projectMs: 0, detectMs: 0, totalMs: 0 },
  at: new Date().toISOString(),
}

interface AxeResults {
  violations: { id: string; nodes: { html: string }[] }[]
}

/** Violations of the accessibility rules, as text. */
async function violationsOf(page: Page): Promise<string[]> {
  // Given to the page by the debugger, since its own policy lets nothing foreign in.
  await page.evaluate(readFileSync(AXE, 'utf8'))
  const { violations } = await page.evaluate<AxeResults>('axe.run()')
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' | ')}`)
}

describe('Dashboard', () => {
  let browser: Browser
  let running: RunningService
  before(async () => {
    mkdirSync(SCREENSHOTS, { recursive: true })
    browser = await openBrowser()
    running = await startService({ monitor: await erosionMonitor(), grpcPort: null })
  })
  after(async () => {
    await browser.close()
    await running.stop()
  })

  async function open(theme: 'light' | 'dark', width = 1280): Promise<{ page: Page; troubles: string[] }> {
    const page = await browser.newPage({ viewport: { width, height: 1000 }, colorScheme: theme })
    const troubles: string[] = []
    page.on('console', (message) => {
      if (message.type() === 'error') troubles.push(message.text())
    })
    page.on('pageerror', (error) => troubles.push(String(error)))
    page.on('request', (request) => {
      if (!request.url().startsWith(running.url)) troubles.push(`asks elsewhere: ${request.url()}`)
    })
    await page.goto(`${running.url}/`)
    await page.locator('#connection', { hasText: 'live' }).waitFor()
    return { page, troubles }
  }

  const [eroding] = parseTranscript(readFileSync('examples/shop-refund-eroding.json', 'utf8'), 'shop-refund-eroding.json')
  assert.ok(eroding)

  it('sees the alert of an eroding conversation appear without reload', async () => {
    const { page, troubles } = await open('light')
    await page.evaluate('window.sameDocument = true')
    assert.equal(await page.locator('#alert-list > li').count(), 0)
    assert.deepEqual([await page.title(), await page.locator('#alert-count').textContent()], ['gabion', 'No alert.'])
    let alerts = 0
    for (const { user, assistant } of eroding.exchanges) {
      const { body } = await post<{ alert: boolean }>(`${running.url}/v1/conversations/shop/exchanges`, { user, assistant })
      alerts += Number(body.alert)
    }
    assert.ok(alerts > 0)
    const first = page.locator('#alert-list > li').first()
    await first.waitFor()
    assert.match((await first.textContent()) ?? '', /shop, exchange \d+likelihood 0\.\d\d/)
    assert.ok((await first.locator('.reasons li').count()) > 0)
    assert.equal(await page.title(), `(${alerts}) gabion`)
    await page
      .locator('#exchange-rows tr')
      .nth(eroding.exchanges.length - 1)
      .waitFor()
    assert.equal(await page.locator('#exchange-rows tr').count(), eroding.exchanges.length)
    assert.match(
      (await page.locator('#exchange-chart').getAttribute('aria-label')) ?? '',
      new RegExp(`over ${eroding.exchanges.length} exchanges of shop`),
    )
    assert.ok((await page.locator('#exchange-chart svg path').count()) > eroding.exchanges.length)
    await page.locator('#exchanges', { hasText: String(eroding.exchanges.length) }).waitFor()
    assert.equal(await page.evaluate('window.sameDocument'), true)
    await page.screenshot({ path: `${SCREENSHOTS}/dashboard-light.png`, fullPage: true })
    assert.deepEqual(troubles, [])
    await page.close()
  })

  it('keeps exchanges that overtake the answer with the earlier ones', async () => {
    const say = (conversation: string): Promise<unknown> =>
      post(`${running.url}/v1/conversations/${conversation}/exchanges`, { user: 'hello', assistant: 'hello there' })
    const { page, troubles } = await open('light')
    await say('overtaken')
    const answered = new Promise<() => Promise<void>>((resolve) => {
      void page.route('**/v1/conversations/overtaken', async (route) => {
        const response = await route.fetch()
        resolve(() => route.fulfill({ response }))
      })
    })
    await page.locator('#list button', { hasText: 'overtaken' }).click()
    const deliver = await answered
    await say('overtaken')
    await page.locator('#exchange-rows tr').first().waitFor()
    await deliver()
    await page.locator('#exchange-rows tr').nth(1).waitFor()
    await fetch(`${running.url}/v1/conversations/overtaken`, { method: 'DELETE' })
    await page.locator('#exchange-rows tr').first().waitFor({ state: 'detached' })
    assert.deepEqual(troubles, [])
    await page.close()
  })

  it('can be used with the keyboard alone', async () => {
    for (const id of ['one', 'two', 'three'])
      await post(`${running.url}/v1/conversations/${id}/exchanges`, { user: 'hello', assistant: 'hello there' })
    const { page, troubles } = await open('dark')
    await page.locator('#list button').nth(3).waitFor()
    await page.locator('#list button').first().focus()
    assert.equal(await page.evaluate('document.activeElement.dataset.id'), 'three')
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('Enter')
    await page.locator('#conversation-title', { hasText: 'Conversation one' }).waitFor()
    // Alerts from before the page was opened are there too.
    assert.match((await page.locator('#alert-list > li').first().textContent()) ?? '', /shop, exchange \d+/)
    await page.keyboard.press('End')
    assert.equal(await page.evaluate('document.activeElement.dataset.id'), 'shop')
    await page.screenshot({ path: `${SCREENSHOTS}/dashboard-dark.png`, fullPage: true })
    assert.deepEqual(troubles, [])
    await page.close()
  })

  it('breaks no rule of accessibility, in light and in dark, wide and narrow', async () => {
    for (const [theme, width] of [
      ['light', 1280],
      ['dark', 1280],
      ['light', 390],
      ['dark', 390],
    ] as const) {
      const { page } = await open(theme, width)
      await page.locator('#exchange-rows tr').first().waitFor()
      assert.deepEqual(await violationsOf(page), [], `${theme}, ${width} pixels`)
      assert.equal(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), true, `${width} pixels are enough`)
      await page.screenshot({ path: `${SCREENSHOTS}/dashboard-${theme}-${width}.png`, fullPage: true })
      await page.close()
    }
  })

  /** A service with alerts that were raised earlier: half of the conversations have calmed down since, and every second has branches. */
  async function withAlerts(count: number): Promise<RunningService> {
    const store = new MemoryStore({ maxBytes: 1e9, ttlMs: 3_600_000 })
    for (let index = 0; index < count; index++) {
      const conversation = `chat-${String(index).padStart(6, '0')}-4db4cdb2fea56798${index % 2 === 0 ? '' : '~bbf56ae5'}`
      const at = new Date(Date.now() - 1000 * (count - index)).toISOString()
      const verdict = { ...VERDICT, conversation, at, exchange: 1, alert: true, level: 'alert' as const }
      const origin = { caller: `caller${String(index)}`, onAlert: REPLY_OUTCOMES[index % REPLY_OUTCOMES.length]! }
      const saved = {} as SavedConversation
      const first = withVerdict(null, saved, verdict, origin)
      await store.save(conversation, first, null, alertOf(verdict, origin, false))
      if (index % 2 === 0) continue
      const calm = withVerdict(first, saved, { ...verdict, exchange: 2, alert: false, level: 'calm', likelihood: 0.1 })
      await store.save(conversation, calm, (await store.load(conversation))!.revision, null)
    }
    return await startService({ grpcPort: null, store })
  }

  for (const count of [3, 5000]) {
    for (const width of [1280, 390]) {
      it(`shows ${String(count)} alerts to who is on call, on ${String(width)} pixels`, async () => {
        const service = await withAlerts(count)
        const page = await browser.newPage({ viewport: { width, height: 800 } })
        await page.goto(`${service.url}/`)
        const items = page.locator('#alert-list > li')
        await items.nth(2).waitFor()
        assert.equal(await page.title(), `(${String(count)}) gabion`)
        assert.equal(await items.count(), Math.min(count, 50))
        assert.match(
          (await items.first().textContent()) ?? '',
          new RegExp(`${String(count - 1).padStart(6, '0')}.*exchange 1.*likelihood 0\\.93.*caller`),
        )
        if (count === 3) {
          const texts = await items.allTextContents()
          assert.deepEqual(
            texts.map((text) => /reply passed|reply cut|reply held|conversation ended/.exec(text)?.[0]),
            ['reply held', 'reply cut', 'reply passed'],
          )
        } else {
          await page.locator('#more-alerts').click()
          await items.nth(99).waitFor()
          assert.equal(await items.count(), 100)
        }
        // The first alert is on the first screen, and nothing is out of sight sideways.
        const box = await items.first().boundingBox()
        assert.ok(box !== null && box.y < 800 && box.x + box.width <= width)
        assert.equal(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), true)
        assert.equal((await page.locator('#list .mark').count()) > 0, true)
        assert.equal((await page.locator('#alert-list .branch').count()) > 0, true)

        // An alert leads to its conversation at that exchange, and so does its address after a reload.
        await items.nth(1).locator('.title').click()
        const row = page.locator('#exchange-rows tr[aria-current]')
        await row.waitFor()
        assert.match((await row.textContent()) ?? '', /alert raised/)
        for (const cell of await row.locator('td:not(:empty)').all()) {
          const place = await cell.boundingBox()
          assert.ok(place !== null && place.x >= 0 && place.x + place.width <= width + 1, 'every column is in sight')
        }
        await items.nth(1).locator('.acknowledge').click()
        await items.nth(1).locator('.acknowledged').waitFor()
        assert.equal(await page.title(), `(${String(count - 1)}) gabion`)
        await page.screenshot({ path: `${SCREENSHOTS}/dashboard-${String(count)}-alerts-${String(width)}.png` })
        await page.reload()
        await row.waitFor()
        await items.nth(1).locator('.acknowledged').waitFor()
        assert.equal(await page.title(), `(${String(count - 1)}) gabion`)
        await page.locator('#open-only').check()
        await page.locator('#alert-list .acknowledged').waitFor({ state: 'detached' })
        assert.deepEqual(await violationsOf(page), [])
        await page.close()
        await service.stop()
      })
    }
  }

  it('shows signals, strength, rule and sentence of the guard', async () => {
    const store = new MemoryStore({ maxBytes: 1e9, ttlMs: 3_600_000 })
    const signals = { unsafe: 0.1, breaks: 0.91, wavers: 0.95, complies: null, pressure: 0.8 }
    const verdict = {
      ...VERDICT,
      conversation: 'g',
      signals,
      strength: 0.42,
      rule: 'Never give refunds.',
      sentence: 'Here is your refund.',
    }
    await store.save('g', withVerdict(null, {} as SavedConversation, verdict), null, alertOf(verdict, {}, false))
    const service = await startService({ grpcPort: null, store })
    const page = await browser.newPage()
    await page.goto(`${service.url}/#conversation=g&exchange=1`)
    const row = page.locator('#exchange-rows tr')
    await row.waitFor()
    assert.match(
      (await row.textContent()) ?? '',
      /Rule: Never give refunds\..*“Here is your refund\.”.*breaks 0\.91.*pressure 0\.80strength 0\.42/,
    )
    assert.match((await page.locator('#alert-list > li').textContent()) ?? '', /guardrail strength 0\.42/)
    await page.close()
    await service.stop()
  })

  it('shows what comes from outside as text', async () => {
    const id = '<img src=x onerror=alert(1)>'
    await post(`${running.url}/v1/conversations/${encodeURIComponent(id)}/exchanges`, { user: 'a', assistant: 'b' })
    const { page, troubles } = await open('light')
    await page.locator('#list .name', { hasText: '<img' }).waitFor()
    assert.equal(await page.locator('#list img').count(), 0)
    assert.deepEqual(troubles, [])
    await page.close()
  })

  it('comes with headers that let nothing else in', async () => {
    const { headers } = await fetch(`${running.url}/`)
    assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'.*frame-ancestors 'none'/)
    assert.equal(headers.get('x-content-type-options'), 'nosniff')
  })

  it('asks for the key where there is one, and lives on after the service was away', async () => {
    const locked = await startService({ grpcPort: null, keyList: [KEY] })
    const page = await browser.newPage()
    await page.goto(`${locked.url}/`)
    await page.locator('#key-dialog[open]').waitFor()
    await page.locator('#key').fill(KEY)
    await page.keyboard.press('Enter')
    await page.locator('#connection', { hasText: 'live' }).waitFor()
    await locked.stop()
    await page.locator('#connection', { hasText: 'connection lost' }).waitFor()
    const again = await startService({ grpcPort: null, keyList: [KEY], port: locked.port })
    await page.locator('#connection', { hasText: 'live' }).waitFor()
    await post(`${again.url}/v1/conversations/after/exchanges`, { user: 'a', assistant: 'b' }, { authorization: `Bearer ${KEY}` })
    await page.locator('#list .name', { hasText: 'after' }).waitFor()
    await page.close()
    await again.stop()
  })
})
