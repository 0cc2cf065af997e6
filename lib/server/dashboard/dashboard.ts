// The dashboard page: shows the service's data. Data is inserted as text, never as markup.

import type { ExchangeVerdict } from '../../detection/verdict.js'
import type { ConversationChange, ConversationStatus } from '../conversations/status.js'
import { Api, type ConversationView, type Stats } from './api.js'
import { LoadChart, ExchangeChart } from './charts.js'

const STATS_EVERY_MS = 2000
const MAX_ALERTS = 50
const MAX_EXCHANGES = 256

// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the page's own elements are known
function element<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T
}

function make<K extends keyof HTMLElementTagNameMap>(tag: K, text: string, className = ''): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag)
  made.textContent = text
  if (className !== '') made.className = className
  return made
}

const api = new Api(askForKey)
const statuses = new Map<string, ConversationStatus>()
let chosen: string | null = null
let history: ExchangeVerdict[] = []
const exchangeChart = new ExchangeChart(element('exchange-chart'))
const loadChart = new LoadChart(element('load-chart'))

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
    ...latest.map(({ conversation, level, likelihood, exchanges }) => {
      const button = make('button', '')
      button.dataset.id = conversation
      button.setAttribute('aria-current', String(conversation === chosen))
      button.append(make('span', conversation, 'name'), make('span', level, `level ${level}`), make('span', likelihood.toFixed(2)))
      button.title = `${conversation}: ${exchanges} exchanges`
      button.addEventListener('click', () => void choose(conversation))
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
  element('conversation-title').textContent = chosen === null ? 'No conversation chosen' : `Conversation ${chosen}`
  exchangeChart.show(chosen ?? 'no conversation', history)
  element('exchange-rows').replaceChildren(
    ...history.toReversed().map(({ exchange, level, likelihood, risk, at, reasons }) => {
      const row = document.createElement('tr')
      const badge = document.createElement('td')
      badge.append(make('span', level, `level ${level}`))
      const time = new Date(at).toLocaleTimeString()
      row.append(make('td', String(exchange)), badge, make('td', likelihood.toFixed(3)), make('td', risk.toFixed(2)), make('td', time))
      row.append(make('td', reasons.join('; ')))
      return row
    }),
  )
}

async function choose(conversation: string): Promise<void> {
  chosen = conversation
  history = []
  showList()
  showConversation()
  const view = await api.get<ConversationView>(`v1/conversations/${encodeURIComponent(conversation)}`)
  if (chosen !== conversation) return
  // Exchanges judged while the response was in flight have arrived as events.
  const last = view.history.at(-1)?.exchange ?? 0
  history = [...view.history, ...history.filter(({ exchange }) => exchange > last)].slice(-MAX_EXCHANGES)
  showConversation()
}

function showAlert({ conversation, exchange, reasons, likelihood }: ExchangeVerdict): void {
  const why = reasons.length === 0 ? '' : `: ${reasons.join('; ')}`
  addAlert(`${conversation}, exchange ${exchange}, likelihood ${likelihood.toFixed(2)}${why}`)
}

function addAlert(text: string): void {
  const list = element('alert-list')
  list.prepend(make('li', text))
  while (list.childElementCount > MAX_ALERTS) list.lastElementChild?.remove()
  element('no-alerts').hidden = true
}

function onChange(change: ConversationChange): void {
  if (change.kind === 'deleted') {
    statuses.delete(change.conversation)
    if (change.conversation === chosen) {
      history = []
      showConversation()
    }
  } else {
    statuses.set(change.conversation, change.status)
    if (change.verdict.alert) showAlert(change.verdict)
    if (change.conversation === chosen && change.verdict.exchange > (history.at(-1)?.exchange ?? 0)) {
      history = [...history, change.verdict].slice(-MAX_EXCHANGES)
      showConversation()
    }
    if (chosen === null) void choose(change.conversation)
  }
  showList()
}

async function load(): Promise<void> {
  const before = new Map(statuses)
  const { conversations } = await api.get<{ conversations: ConversationStatus[] }>('v1/conversations?limit=200')
  // Events that arrived while the response was in flight are newer than it.
  const changed = [...statuses].filter(([conversation, status]) => before.get(conversation) !== status)
  const deleted = [...before.keys()].filter((conversation) => !statuses.has(conversation))
  statuses.clear()
  for (const status of conversations) statuses.set(status.conversation, status)
  for (const [conversation, status] of changed) statuses.set(conversation, status)
  for (const conversation of deleted) statuses.delete(conversation)
  showList()
  if (element('alert-list').childElementCount === 0) {
    for (const { conversation, firstAlert } of conversations.toReversed()) {
      if (firstAlert !== null) addAlert(`${conversation}, first alert at exchange ${firstAlert}`)
    }
  }
  if (chosen === null && conversations[0] !== undefined) await choose(conversations[0].conversation)
  else if (chosen !== null && statuses.has(chosen)) await choose(chosen)
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
    exchanges: String(stats.exchanges),
    alerts: String(stats.alerts),
    cache: lookups === 0 ? '–' : `${((100 * stats.cacheHits) / lookups).toFixed(0)} %`,
  }
  for (const [id, value] of Object.entries(shown)) element(id).textContent = value
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

async function start(): Promise<void> {
  const { model, detector, store } = await api.get<{
    model: { name: string; precision: string }
    detector: { name: string }
    store: string
  }>('info')
  element('about').textContent = `${model.name} (${model.precision}), detector ${detector.name}, conversations in ${store}`
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
