// The dashboard page: shows the service's data, alerts first. Data is inserted as text, never as markup.

import type { ExchangeVerdict } from '../../detection/verdict.js'
import type { ConversationChange, ConversationStatus } from '../conversations/status.js'
import { AlertsPanel } from './alerts-panel.js'
import { Api, type ConversationView, type Stats } from './api.js'
import { LoadChart } from './charts.js'
import { ConversationPanel } from './conversation-panel.js'
import { element, make, nameOf } from './dom.js'

const STATS_EVERY_MS = 2000
const MAX_EXCHANGES = 256

const api = new Api(askForKey)
const statuses = new Map<string, ConversationStatus>()
let chosen: string | null = null
/** The exchange that a link or an alert leads to. */
let marked: number | null = null
let history: ExchangeVerdict[] = []
const panel = new ConversationPanel()
const loadChart = new LoadChart(element('load-chart'))
const alerts = new AlertsPanel(api, (conversation, exchange) => {
  location.hash = `conversation=${encodeURIComponent(conversation)}&exchange=${exchange}`
})

function askForKey(): Promise<string> {
  const dialog = element<HTMLDialogElement>('key-dialog')
  const input = element<HTMLInputElement>('key')
  dialog.showModal()
  return new Promise((resolve) => {
    dialog.addEventListener(
      'close',
      () => {
        resolve(input.value.trim())
        input.value = ''
      },
      { once: true },
    )
  })
}

function showList(): void {
  const list = element('list')
  const focused =
    document.activeElement instanceof HTMLElement && list.contains(document.activeElement) ? document.activeElement.dataset.id : undefined
  const latest = [...statuses.values()].sort((a, b) => b.updatedAt.localeCompare(a.updatedAt))
  list.replaceChildren(
    ...latest.map(({ conversation, level, likelihood, exchanges, alerts }) => {
      const button = make('button')
      button.dataset.id = conversation
      button.setAttribute('aria-current', String(conversation === chosen))
      button.append(nameOf(conversation))
      // A conversation that has calmed down is not what it was.
      if (alerts > 0 && level !== 'alert') button.append(make('span', 'alerted', 'mark'))
      button.append(make('span', level, `level ${level}`), make('span', likelihood.toFixed(2)))
      button.title = `${conversation}: ${exchanges} exchanges, ${alerts} alerts`
      button.addEventListener('click', () => (location.hash = `conversation=${encodeURIComponent(conversation)}`))
      const item = document.createElement('li')
      item.append(button)
      return item
    }),
  )
  element('no-conversations').hidden = statuses.size > 0
  if (focused !== undefined) buttonOf(focused)?.focus()
}

function buttonOf(conversation: string): HTMLButtonElement | undefined {
  return [...element('list').querySelectorAll('button')].find((button) => button.dataset.id === conversation)
}

function showConversation(): void {
  panel.show(chosen, chosen === null ? undefined : statuses.get(chosen), history, marked)
}

async function choose(conversation: string, exchange: number | null = null): Promise<void> {
  chosen = conversation
  marked = exchange
  history = []
  showList()
  showConversation()
  const view = await api.get<ConversationView>(`v1/conversations/${encodeURIComponent(conversation)}`).catch(() => null)
  if (chosen !== conversation || view === null) return
  // Exchanges judged while the response was in flight have arrived as events.
  const last = view.history.at(-1)?.exchange ?? 0
  history = [...view.history, ...history.filter(({ exchange }) => exchange > last)].slice(-MAX_EXCHANGES)
  showConversation()
  if (exchange !== null) panel.reveal()
}

/** What the address names: a conversation, and an exchange of it. */
async function chooseByAddress(): Promise<boolean> {
  const fields = new URLSearchParams(location.hash.slice(1))
  const conversation = fields.get('conversation')
  if (conversation === null) return false
  const exchange = fields.get('exchange')
  await choose(conversation, exchange === null ? null : Number(exchange))
  if (exchange !== null) element('conversation').focus({ preventScroll: true })
  return true
}

function onChange(change: ConversationChange): void {
  const { conversation } = change
  if (change.kind === 'acknowledged') {
    alerts.acknowledged(conversation, change.exchange, change.acknowledged)
    return
  }
  if (change.kind === 'deleted') {
    statuses.delete(conversation)
    alerts.forget(conversation)
    if (conversation === chosen) {
      history = []
      showConversation()
    }
  } else {
    statuses.set(conversation, change.status)
    if (change.alert !== null) alerts.add(change.alert)
    if (conversation === chosen && change.verdict.exchange > (history.at(-1)?.exchange ?? 0)) {
      history = [...history, change.verdict].slice(-MAX_EXCHANGES)
      showConversation()
    }
    if (chosen === null) void choose(conversation)
  }
  showList()
}

async function load(): Promise<void> {
  const before = new Map(statuses)
  const [{ conversations }] = await Promise.all([
    api.get<{ conversations: ConversationStatus[] }>('v1/conversations?limit=200'),
    alerts.reload(),
  ])
  // Events that arrived while the response was in flight are newer than it.
  const changed = [...statuses].filter(([conversation, status]) => before.get(conversation) !== status)
  const deleted = [...before.keys()].filter((conversation) => !statuses.has(conversation))
  statuses.clear()
  for (const status of conversations) statuses.set(status.conversation, status)
  for (const [conversation, status] of changed) statuses.set(conversation, status)
  for (const conversation of deleted) statuses.delete(conversation)
  showList()
  if (chosen !== null) await choose(chosen, marked)
  else if (!(await chooseByAddress()) && conversations[0] !== undefined) await choose(conversations[0].conversation)
}

async function showNumbers(): Promise<void> {
  const stats = await api.get<Stats>('v1/stats')
  const milliseconds = (value: number | null): string => (value === null ? '–' : `${value.toFixed(value < 10 ? 2 : 0)} ms`)
  const lookups = stats.cacheHits + stats.cacheMisses
  const shown: Record<string, string> = {
    'per-second': stats.perSecond.toFixed(1),
    p50: milliseconds(stats.p50Ms),
    p99: milliseconds(stats.p99Ms),
    pending: String(stats.pendingTexts),
    refused: String(stats.refused),
    unjudged: String(stats.unjudged),
    blocked: String(stats.blocked),
    exchanges: String(stats.exchanges),
    alerts: String(stats.alerts),
    cache: lookups === 0 ? '–' : `${((100 * stats.cacheHits) / lookups).toFixed(0)} %`,
  }
  for (const [id, value] of Object.entries(shown)) element(id).textContent = value
  const troubles = [
    { count: stats.unjudged, text: 'replies not judged' },
    { count: stats.refused, text: 'requests refused' },
  ].filter(({ count }) => count > 0)
  element('troubles').textContent = troubles.map(({ count, text }) => `${count} ${text}`).join(', ')
  loadChart.add(stats.perSecond, stats.p99Ms)
}

/** Arrow keys, Home and End move in the list, as in a list box. */
element('list').addEventListener('keydown', (event) => {
  const buttons = [...element('list').querySelectorAll('button')]
  const at = buttons.indexOf(document.activeElement as HTMLButtonElement)
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key]
  if (to === undefined || at < 0) return
  event.preventDefault()
  buttons[Math.min(buttons.length - 1, Math.max(0, to))]?.focus()
})

addEventListener('hashchange', () => void chooseByAddress())

async function start(): Promise<void> {
  const { model, models, detector, noDetector, store } = await api.get<{
    model: { name: string; precision: string }
    models: string[]
    detector: { name: string } | null
    noDetector: string | null
    store: string
  }>('info')
  const others = models.slice(1).map((name) => `, ${name}`)
  const judging =
    detector === null ? `no conversations are judged: ${noDetector ?? ''}` : `detector ${detector.name}, conversations in ${store}`
  element('about').textContent = `${model.name} (${model.precision})${others.join('')}, ${judging}`
  void api.watch(onChange, (connected) => {
    element('connection').textContent = connected ? 'live' : 'connection lost, trying again …'
    if (connected) void load().catch(() => undefined)
  })
  const refresh = (): void => void showNumbers().catch(() => undefined)
  refresh()
  setInterval(refresh, STATS_EVERY_MS)
}

showConversation()
await start()
