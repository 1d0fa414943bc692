// The unmodified official client against the local server: sign-in, REST, and Realtime under
// row-level security, in both versions of the Realtime protocol.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createClient } from '@supabase/supabase-js'
import ws from 'ws'

const { SUPABASE_URL, SUPABASE_ANON_KEY, SUPABASE_SERVICE_KEY } = process.env
const PATIENCE_MS = 15_000

/** A client that keeps nothing between runs and speaks the given version of Realtime. */
function client(key = SUPABASE_ANON_KEY, vsn = undefined) {
  return createClient(SUPABASE_URL, key, {
    auth: { persistSession: false, autoRefreshToken: false },
    realtime: { transport: ws, ...(vsn && { vsn }) },
  })
}

async function signedIn(name, vsn) {
  const supabase = client(SUPABASE_ANON_KEY, vsn)
  const { data, error } = await supabase.auth.signInWithPassword({
    email: `${name}@example.com`,
    password: `password of ${name}`,
  })
  assert.equal(error, null)
  return { supabase, user: data.user }
}

function ok({ data, error, count }) {
  assert.equal(error, null)
  return count ?? data
}

/** Waits until `holds()`; the condition is named in the failure. */
async function eventually(what, holds) {
  const deadline = Date.now() + PATIENCE_MS
  while (!holds()) {
    assert.ok(Date.now() < deadline, `not in time: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

describe('auth', () => {
  test('a wrong password is refused with the real error', async () => {
    const { error } = await client().auth.signInWithPassword({
      email: 'alice@example.com',
      password: 'wrong',
    })
    assert.equal(error.code, 'invalid_credentials')
    assert.equal(error.status, 400)
    assert.equal(error.message, 'Invalid login credentials')
  })

  test('a session signs in, refreshes, is read back and signs out', async () => {
    const { supabase, user } = await signedIn('alice')
    assert.equal(user.email, 'alice@example.com')
    const { data: refreshed, error } = await supabase.auth.refreshSession()
    assert.equal(error, null)
    assert.equal(refreshed.user.id, user.id)
    const { data: read } = await supabase.auth.getUser()
    assert.equal(read.user.id, user.id)
    assert.equal((await supabase.auth.signOut()).error, null)
    const { data: none } = await supabase.auth.getUser(refreshed.session.access_token)
    assert.equal(none.user, null)
  })
})

describe('rest', () => {
  let alice
  before(async () => {
    alice = await signedIn('alice')
    const rows = [1, 2, 3, 4, 5].map((n) => ({ owner: alice.user.id, n, body: `row ${n}` }))
    ok(await alice.supabase.from('notes').insert(rows))
  })

  test('select with filters, order and range', async () => {
    const { supabase } = alice
    const rows = ok(
      await supabase.from('notes').select('n, body').gte('n', 2).neq('n', 4).order('n', { ascending: false }),
    )
    assert.deepEqual(rows.map((row) => row.n), [5, 3, 2])
    assert.deepEqual(Object.keys(rows[0]).sort(), ['body', 'n'])
    const page = ok(await supabase.from('notes').select('n').in('n', [1, 2, 3, 4, 5]).order('n').range(1, 2))
    assert.deepEqual(page, [{ n: 2 }, { n: 3 }])
    assert.equal(ok(await supabase.from('notes').select('n').eq('n', 3).single()).n, 3)
  })

  test('counts', async () => {
    const count = ok(
      await alice.supabase.from('notes').select('*', { count: 'exact', head: true }).lte('n', 3),
    )
    assert.equal(count, 3)
  })

  test('insert, update and delete return what they touched', async () => {
    const { supabase, user } = alice
    const made = ok(
      await supabase.from('notes').insert({ owner: user.id, n: 90, body: 'new' }).select().single(),
    )
    assert.equal(made.body, 'new')
    const changed = ok(await supabase.from('notes').update({ body: 'old' }).eq('id', made.id).select())
    assert.deepEqual(changed.map((row) => row.body), ['old'])
    const gone = ok(await supabase.from('notes').delete().eq('id', made.id).select('id'))
    assert.deepEqual(gone, [{ id: made.id }])
  })

  test('functions are called', async () => {
    assert.equal(ok(await alice.supabase.rpc('add_up', { a: 2, b: 40 })), 42)
  })

  test('row security holds rows back and refuses foreign ones', async () => {
    const bob = await signedIn('bob')
    assert.deepEqual(ok(await bob.supabase.from('notes').select('n').lte('n', 5)), [])
    const { error } = await bob.supabase.from('notes').insert({ owner: alice.user.id, n: 1, body: 'x' })
    assert.equal(error.code, '42501')
    const all = ok(await client(SUPABASE_SERVICE_KEY).from('notes').select('n').lte('n', 5).order('n'))
    assert.deepEqual(all.map((row) => row.n), [1, 2, 3, 4, 5])
  })
})

for (const vsn of ['1.0.0', '2.0.0', undefined]) {
  describe(`realtime, protocol ${vsn ?? 'chosen by the client'}`, () => {
    const open = []
    after(async () => {
      for (const supabase of open) {
        await supabase.removeAllChannels()
        await supabase.realtime.disconnect()
      }
    })

    /** Subscribes and waits for the server's word that changes flow. */
    async function listen(name, filter) {
      const person = await signedIn(name, vsn)
      open.push(person.supabase)
      const changes = []
      const statuses = []
      let flowing = false
      person.supabase
        .channel(`notes of ${name}`)
        .on('postgres_changes', { event: '*', schema: 'public', table: 'notes', ...filter }, (change) =>
          changes.push(change),
        )
        .on('system', {}, (message) => {
          flowing ||= message.extension === 'postgres_changes' && message.status === 'ok'
        })
        .subscribe((status) => statuses.push(status))
      await eventually('subscribed', () => statuses.includes('SUBSCRIBED') && flowing)
      return { ...person, changes }
    }

    test('own rows arrive, those of others do not', async () => {
      const alice = await listen('alice')
      const bob = await listen('bob')
      const write = (person, n) =>
        person.supabase.from('notes').insert({ owner: person.user.id, n, body: 'live' }).then(ok)
      await write(alice, 101)
      await write(bob, 102)
      await write(alice, 103)
      await eventually('two rows for alice', () => alice.changes.length >= 2)
      await eventually('one row for bob', () => bob.changes.length >= 1)
      assert.deepEqual(alice.changes.map((change) => change.new.n), [101, 103])
      assert.deepEqual(bob.changes.map((change) => change.new.n), [102])
      const [first] = alice.changes
      assert.equal(first.eventType, 'INSERT')
      assert.equal(first.table, 'notes')
      assert.equal(first.new.owner, alice.user.id)
      assert.equal(first.errors, null)

      ok(await alice.supabase.from('notes').update({ body: 'changed' }).eq('n', 103))
      await eventually('an update', () => alice.changes.length >= 3)
      assert.equal(alice.changes[2].eventType, 'UPDATE')
      assert.equal(alice.changes[2].new.body, 'changed')
      ok(await alice.supabase.from('notes').delete().eq('n', 103))
      await eventually('a deletion', () => alice.changes.length >= 4)
      assert.equal(alice.changes[3].eventType, 'DELETE')
      assert.equal(alice.changes[3].old.id, alice.changes[2].new.id)
      ok(await client(SUPABASE_SERVICE_KEY).from('notes').delete().gt('n', 100))
    })

    test('a filter and a fresh token', async () => {
      const alice = await listen('alice', { filter: 'n=gt.150' })
      const { data } = await alice.supabase.auth.refreshSession()
      await alice.supabase.realtime.setAuth(data.session.access_token)
      for (const n of [140, 160]) {
        ok(await alice.supabase.from('notes').insert({ owner: alice.user.id, n, body: 'live' }))
      }
      await eventually('the row that passes', () => alice.changes.length >= 1)
      assert.deepEqual(alice.changes.map((change) => change.new.n), [160])
      ok(await client(SUPABASE_SERVICE_KEY).from('notes').delete().gt('n', 100))
    })

    test('a broadcast reaches the others', async () => {
      const [sender, receiver] = [client(SUPABASE_ANON_KEY, vsn), client(SUPABASE_ANON_KEY, vsn)]
      open.push(sender, receiver)
      const heard = []
      const room = (supabase) => supabase.channel('room', { config: { broadcast: { ack: true } } })
      const joined = (channel) =>
        new Promise((resolve) => channel.subscribe((status) => status === 'SUBSCRIBED' && resolve()))
      const listening = room(receiver).on('broadcast', { event: 'shout' }, (message) =>
        heard.push(message.payload),
      )
      const speaking = room(sender)
      await Promise.all([joined(listening), joined(speaking)])
      const sent = await speaking.send({ type: 'broadcast', event: 'shout', payload: { hi: 1 } })
      assert.equal(sent, 'ok')
      await eventually('the broadcast', () => heard.length > 0)
      assert.deepEqual(heard, [{ hi: 1 }])
    })
  })
}
