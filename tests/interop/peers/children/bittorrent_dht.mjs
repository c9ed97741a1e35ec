// A bittorrent-dht node: node bittorrent_dht.mjs FOLDER IP PORT IP:PORT,…
// FOLDER holds node_modules. Each line on standard input is a JSON object with `do`; each is answered with one line.
// Bytes are hexadecimal digits. Mutable items need signatures from outside: Node's own Ed25519 makes and checks them.
import crypto from 'node:crypto'
import { once } from 'node:events'
import path from 'node:path'
import readline from 'node:readline'
import { pathToFileURL } from 'node:url'

const [folder, ip, port, known] = process.argv.slice(2)
const { Client } = await import(pathToFileURL(path.join(folder, 'node_modules/bittorrent-dht/index.js')))

const PUBLIC = Buffer.from('302a300506032b6570032100', 'hex') // what precedes a raw key in DER
const PRIVATE = Buffer.from('302e020100300506032b657004220420', 'hex')
const hex = text => Buffer.from(text, 'hex')
const publicKey = raw => crypto.createPublicKey({ key: Buffer.concat([PUBLIC, Buffer.from(raw)]), format: 'der', type: 'spki' })
const privateKey = seed => crypto.createPrivateKey({ key: Buffer.concat([PRIVATE, seed]), format: 'der', type: 'pkcs8' })
const verify = (signature, message, key) => crypto.verify(null, message, publicKey(key), signature)

const dht = new Client({ bootstrap: known ? known.split(',') : false, host: ip, verify, maxAge: 600000 })
dht.on('warning', warning => console.error('warning', warning.message))
dht.listen(Number(port), ip)
await once(dht, 'listening')

// Calls with a node-style callback, as promises of [error text or null, results…]
const done = start => new Promise(resolve => start((error, ...results) => resolve([error ? String(error.message) : null, ...results])))

const shown = item => item && {
  v: Buffer.from(item.v).toString('hex'),
  seq: item.seq ?? null,
  k: item.k ? Buffer.from(item.k).toString('hex') : null,
  sig: item.sig ? Buffer.from(item.sig).toString('hex') : null
}

const COMMANDS = {
  async look_up ({ info_hash }) {
    const found = new Set()
    const onPeer = (peer, hash) => { if (Buffer.from(hash).toString('hex') === info_hash) found.add(`${peer.host}:${peer.port}`) }
    dht.on('peer', onPeer)
    await done(ended => dht.lookup(hex(info_hash), ended))
    dht.removeListener('peer', onPeer)
    return [...found]
  },
  async announce ({ info_hash, port }) {
    const [error] = await done(ended => dht.announce(hex(info_hash), port, ended))
    return error
  },
  async put ({ v }) {
    const [error, key, stored] = await done(ended => dht.put({ v: hex(v) }, ended))
    return { error, target: key && Buffer.from(key).toString('hex'), stored: stored ?? 0 }
  },
  async put_mutable ({ v, seed, k, seq, salt, cas }) {
    const item = { v: hex(v), k: hex(k), seq, sign: message => crypto.sign(null, message, privateKey(hex(seed))) }
    if (salt) item.salt = hex(salt)
    if (cas !== undefined) item.cas = cas
    const [error, key, stored] = await done(ended => dht.put(item, ended))
    return { error, target: key && Buffer.from(key).toString('hex'), stored: stored ?? 0 }
  },
  async get ({ target, salt }) {
    const [error, item] = await done(ended => dht.get(hex(target), salt ? { salt: hex(salt), cache: false } : { cache: false }, ended))
    return error ? null : shown(item)
  },
  async nodes () {
    return dht.toJSON().nodes.map(node => `${node.host}:${node.port}`)
  }
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { do: name, ...rest } = JSON.parse(line)
  try {
    console.log(JSON.stringify({ result: await COMMANDS[name](rest) ?? null }))
  } catch (error) {
    console.log(JSON.stringify({ error: String(error.stack) }))
  }
}
dht.destroy()
