// Makes elements of the page. Values are inserted as text, never as markup.

/** An element of the page itself. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the page's own elements are known
export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T
}

/** A new element with a text. */
export function make<K extends keyof HTMLElementTagNameMap>(tag: K, text = '', className = ''): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag)
  made.textContent = text
  if (className !== '') made.className = className
  return made
}

/** A button that calls a function. */
export function button(text: string, className: string, onClick: () => void): HTMLButtonElement {
  const made = make('button', text, className)
  made.type = 'button'
  made.addEventListener('click', onClick)
  return made
}

const MAX_ID_LENGTH = 26

/** A conversation's name: long ids by beginning and end, which tell branches apart; the whole id is the title. */
export function nameOf(conversation: string): HTMLElement {
  const cut = conversation.lastIndexOf('~')
  const [base, branch] = cut > 0 ? [conversation.slice(0, cut), conversation.slice(cut + 1)] : [conversation, '']
  const made = make('span', shortened(base), 'name')
  made.title = conversation
  if (branch !== '') made.append(' ', make('span', `branch ${shortened(branch)}`, 'branch'))
  return made
}

/** An id of some 26 characters at most. */
export function shortened(id: string): string {
  return id.length <= MAX_ID_LENGTH ? id : `${id.slice(0, 12)}…${id.slice(-10)}`
}

/** A moment as people read it, with the date unless it is today. */
export function timeOf(at: string): HTMLTimeElement {
  const date = new Date(at)
  const time = date.toLocaleTimeString()
  const made = make('time', date.toDateString() === new Date().toDateString() ? time : `${date.toLocaleDateString()} ${time}`)
  made.dateTime = at
  return made
}
