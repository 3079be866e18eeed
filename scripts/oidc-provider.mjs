// An OpenID Connect provider for tests, started by oidc-provider.sh: the npm package `oidc-provider`, one client, access tokens as JWTs.
//
//   node oidc-provider.mjs FOLDER_WITH_NODE_MODULES PORT
//
// POST /test/rotate?alg=ES256[&drop=1] makes a new key that signs from then on; with `drop` the old ones are no longer published.
//
// Below /desk is another provider, whose key stays: people sign in there with any name, which is their subject. The name says what they are: roles are its
// parts with a dash between them, as in `anna-editor`.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

const [folder, port] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(`${folder}/node_modules/oidc-provider/lib/index.js`));
const issuer = `http://127.0.0.1:${port}`;
const kinds = {
  RS256: ['rsa', { modulusLength: 2048 }],
  PS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  EdDSA: ['ed25519', {}],
};

function makeKey(alg) {
  const [kind, options] = kinds[alg];
  return { ...generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg };
}

let keys = [];
let handle;
function rotate(alg, drop) {
  keys = [makeKey(alg), ...(drop ? [] : keys)];
  const provider = new Provider(issuer, {
    jwks: { keys },
    enabledJWA: { idTokenSigningAlgValues: Object.keys(kinds), introspectionSigningAlgValues: Object.keys(kinds) },
    clients: [
      {
        client_id: 'tests',
        client_secret: 'a-secret-of-tests-alone',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
        id_token_signed_response_alg: alg,
      },
    ],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => ({ scope: 'read write', audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: 600, jwt: { sign: { alg } } }),
      },
    },
  });
  handle = provider.callback();
}

const person = (id) => ({
  accountId: id,
  claims: () => ({
    sub: id,
    name: id.split('-')[0],
    email: `${id}@example.com`,
    email_verified: true,
    roles: id.split('-').slice(1),
  }),
});
const desk = new Provider(`${issuer}/desk`, {
  jwks: { keys: [makeKey('ES256')] },
  conformIdTokenClaims: false,
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'roles'] },
  findAccount: (_, id) => person(id),
  pkce: { required: () => true },
  clients: [
    {
      client_id: 'desk',
      client_secret: 'another-secret-of-tests',
      redirect_uris: ['https://desk.example.com/signin/oidc/callback'],
      id_token_signed_response_alg: 'ES256',
    },
    {
      client_id: 'desk-here',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      redirect_uris: ['http://127.0.0.1/signin/oidc/callback'],
      id_token_signed_response_alg: 'ES256',
    },
    {
      client_id: 'desk-robot',
      client_secret: 'a-third-secret-of-tests',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: 'ES256',
    },
  ],
  enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
  features: {
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, resource) => ({ scope: 'read', audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: 600, jwt: { sign: { alg: 'ES256' } } }),
    },
  },
}).callback();

rotate('RS256', false);
createServer((request, response) => {
  const url = new URL(request.url, issuer);
  if (url.pathname.startsWith('/desk/')) {
    // What the library asks of whoever mounts it below a path.
    request.originalUrl = request.url;
    request.url = request.url.slice('/desk'.length);
    return desk(request, response);
  }
  if (request.method !== 'POST' || url.pathname !== '/test/rotate') return handle(request, response);
  rotate(url.searchParams.get('alg') ?? 'RS256', url.searchParams.has('drop'));
  response.end(keys[0].kid);
}).listen(Number(port), '127.0.0.1', () => console.log(issuer));
