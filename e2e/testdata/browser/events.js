// Follows a log as user interfaces do, and prints what they get: a row of JSON for
// each message, until the log ends.
//
// node events.js LIBRARY URL TOKEN, with the packages of this folder in NODE_PATH.
'use strict'

const [library, url, token] = process.argv.slice(2)
const headers = token ? { 'X-Harness-Token': token, Authorization: 'Bearer the.session.of-the-ui' } : {}
const print = (row) => console.log(JSON.stringify(row))

// done ends the program once the log has ended.
const done = (source) => (e) => {
  if (e.data !== 'eof') return // the connection was lost: the library makes a new one
  print({ end: true })
  source.close()
}

const follow = {
  // The EventSource of browsers.
  eventsource() {
    const { EventSource } = require('eventsource')
    const source = new EventSource(url, {
      fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, ...headers } }),
    })
    source.onmessage = (e) => print({ id: e.lastEventId, data: e.data })
    source.addEventListener('error', done(source))
  },

  // What the Harness UI uses.
  polyfill() {
    const { EventSourcePolyfill } = require('event-source-polyfill')
    const source = new EventSourcePolyfill(url, { headers })
    source.onmessage = (e) => print({ id: e.lastEventId, data: e.data })
    source.addEventListener('error', done(source))
  },

  // It delivers a message for each empty line, whether there is data or not.
  async fetch() {
    globalThis.window = globalThis
    globalThis.document = { removeEventListener() {} }
    const { fetchEventSource } = require('@microsoft/fetch-event-source')
    const end = new AbortController()
    await fetchEventSource(url, {
      headers,
      signal: end.signal,
      openWhenHidden: true,
      onmessage(m) {
        if (m.event === 'error' && m.data === 'eof') {
          print({ end: true })
          end.abort()
          return
        }
        print({ id: m.id, data: m.data })
      },
    })
  },
}

follow[library]()
