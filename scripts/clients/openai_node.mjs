// Forty steps of OpenAI's client for Node against /v1. usage: node openai_node.mjs URL TOKEN
import OpenAI from 'openai'

const [url, token] = process.argv.slice(2)
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: token, maxRetries: 0, timeout: 30_000 })
let done = 0
function step(name, isTrue) {
  if (!isTrue) {
    console.error(`step ${done + 1} failed: ${name}`)
    process.exit(1)
  }
  done += 1
}
const user = (content) => [{ role: 'user', content }]
const chat = (content, more = {}) => client.chat.completions.create({ model: 'default', messages: user(content), ...more })
const text = (reply) => reply.choices[0].message.content
async function refused(status, param, work) {
  try {
    await work()
  } catch (error) {
    return error.status === status && (param === undefined || error.param === param)
  }
  return false
}
async function all(stream) {
  const out = []
  for await (const piece of await stream) out.push(piece)
  return out
}

const names = (await client.models.list()).data.map((model) => model.id)
step('models are listed', names.includes('default'))
step('one model is read', (await client.models.retrieve('default')).id === 'default')
step('an unknown model is 404', await refused(404, 'model', () => client.models.retrieve('nobody')))
for (const word of ['one', 'two words', 'zażółć', '日本', '🚀']) {
  step(`says ${word}`, text(await chat(`say ${word}`)) === word)
  const pieces = await all(chat(`say ${word}`, { stream: true }))
  step(`streams ${word}`, pieces.map((p) => p.choices[0]?.delta.content ?? '').join('') === word)
}
const reply = await chat('hello')
step('usage', reply.usage.total_tokens === reply.usage.prompt_tokens + reply.usage.completion_tokens)
step('why it ended', reply.choices[0].finish_reason === 'stop')
step('length is told', (await chat('cut short')).choices[0].finish_reason === 'length')
for (const temperature of [0, 1, 2]) step(`temperature ${temperature}`, text(await chat('hello', { temperature })))
step('max_tokens', text(await chat('hello', { max_tokens: 5 })))
step('max_completion_tokens', text(await chat('hello', { max_completion_tokens: 5 })))
step('stop and seed', text(await chat('hello', { stop: ['x'], seed: 1 })))
const counted = await all(chat('say one', { stream: true, stream_options: { include_usage: true } }))
step('usage at the end of a stream', counted.at(-1).usage && counted.at(-1).choices.length === 0)
const left = await chat('slowly', { stream: true })
for await (const _ of left) break
step('a stream can be left', text(await chat('hello')))
step('a stream that breaks off says so', await refused(undefined, undefined, () => all(chat('break off', { stream: true }))))

const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } } }]
const asked = (await chat('weather in Riga', { tools })).choices[0]
step('a tool is asked for', asked.finish_reason === 'tool_calls' && asked.message.tool_calls[0].function.name === 'weather')
step('with arguments', JSON.parse(asked.message.tool_calls[0].function.arguments).city === 'Riga')
const result = { role: 'tool', tool_call_id: asked.message.tool_calls[0].id, content: '7 degrees' }
const said = await client.chat.completions.create({ model: 'default', messages: [...user('weather in Riga'), asked.message, result], tools })
step('its result is read', text(said) === 'It says 7 degrees.')
const calls = (await all(chat('weather in Riga', { tools, stream: true }))).flatMap((p) => p.choices[0]?.delta.tool_calls ?? [])
step('a tool in a stream', calls.map((c) => c.function.arguments ?? '').join('') === '{"city":"Riga"}')
const schema = { type: 'object', properties: { city: { type: 'string' }, degrees: { type: 'integer' } } }
const json = await chat('as json', { response_format: { type: 'json_schema', json_schema: { name: 'weather', schema } } })
step('JSON after a schema', JSON.parse(text(json)).degrees === 7)

step('a wrong value is named', await refused(400, 'temperature', () => chat('hello', { temperature: 9 })))
step('a contradiction is named', await refused(400, 'tool_choice', () => chat('hello', { tool_choice: 'required' })))
step('an unknown field is named', await refused(400, 'nonsense', () => chat('hello', { nonsense: 1 })))
const wrong = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'wrong', maxRetries: 0 })
step('a wrong key is 401', await refused(401, undefined, () => wrong.models.list()))
step('a busy provider is told', await refused(503, undefined, () => chat('too busy')))
const once = () => client.chat.completions.create({ model: 'default', messages: user('say once') }, { headers: { 'Idempotency-Key': 'clients-node' } })
step('a repeat under a key is the same', (await once()).id === (await once()).id)

const response = await client.responses.create({ model: 'default', input: 'say hello' })
step('a response has text', response.output_text === 'hello')
step('a response is found again', (await client.responses.retrieve(response.id)).status === 'completed')
const more = await client.responses.create({ model: 'default', input: 'say more', previous_response_id: response.id })
step('a response goes on', more.output_text === 'more')
const kinds = (await all(client.responses.create({ model: 'default', input: 'say hello', stream: true }))).map((event) => event.type)
step('a response streams', kinds[0] === 'response.created' && kinds.at(-1) === 'response.completed')
const later = await client.responses.create({ model: 'default', input: 'slowly', background: true })
step('a response in the background is canceled', (await client.responses.cancel(later.id)).status === 'cancelled')
const many = await Promise.all([...Array(20).keys()].map((i) => chat(`say ${i}`)))
step('twenty at a time', many.every((r, i) => text(r) === String(i)))
if (done < 40) throw new Error(`${done} steps`)
console.log(`openai for Node: ${done} steps`)
