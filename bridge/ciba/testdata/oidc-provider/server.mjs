// An OpenID provider with CIBA for the tests of package ciba, made of
// oidc-provider and the least configuration that lets a test decide what the
// person does.
//
// Standard input: one line of JSON {cert, key, ca, clients}: the server's chain
// and key and the authority of client certificates in PEM, and the metadata of
// the clients. The end of standard input ends the server. Standard output: one
// line of JSON {issuer}. Everything else goes to standard error.
//
// The issuer's port asks for no client certificate; mtls_endpoint_aliases name
// another one, which does.
//
// POST /control/decide is the person's thumb. It takes {auth_req_id, deny, acr,
// amr} and answers with what the phone showed.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';

console.log = console.info = console.error;
const { Provider, errors } = await import('oidc-provider');

const [config, rest] = await firstLine(process.stdin);
rest.on('close', () => process.exit(0));

// Whether a certificate is good is for the provider to say.
const asking = { ca: config.ca, requestCert: true, rejectUnauthorized: false };
const servers = await Promise.all([listen({}), listen(asking)]);
const [issuer, mtls] = servers.map((server) => `https://localhost:${server.address().port}`);

const people = {
  anna: {},
  bela: { userCode: '2468' },
};
const phones = new Map(); // what each request shows, by auth_req_id

const provider = new Provider(issuer, {
  clients: config.clients,
  jwks: { keys: [newKey('ec', { namedCurve: 'P-256' }), newKey('rsa', { modulusLength: 2048 }), newKey('ed25519', {})] },
  discovery: {
    mtls_endpoint_aliases: {
      token_endpoint: `${mtls}/token`,
      backchannel_authentication_endpoint: `${mtls}/backchannel`,
      revocation_endpoint: `${mtls}/token/revocation`,
    },
  },
  cookies: { keys: ['only the browser flows, which nobody uses here, have cookies'] },
  acrValues: ['urn:example:phone', 'urn:example:phone:hardware'],
  claims: { amr: null }, // as well as the defaults
  scopes: ['openid', 'offline_access', 'seat'],
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth'],
  enabledJWA: {
    clientAuthSigningAlgValues: ['PS256', 'ES256', 'EdDSA'],
    idTokenSigningAlgValues: ['PS256', 'ES256', 'EdDSA'],
    requestObjectSigningAlgValues: ['PS256', 'ES256', 'EdDSA'],
  },
  findAccount: (_ctx, id) => people[id] && { accountId: id, claims: () => ({ sub: id }) },
  rotateRefreshToken: true,
  // Requests go out to this machine, which the default would not allow.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  features: {
    devInteractions: { enabled: false },
    claimsParameter: { enabled: true },
    dPoP: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    requestObjects: { enabled: true },
    ciba: {
      enabled: true,
      deliveryModes: ['poll', 'ping'],
      processLoginHint: (_ctx, hint) => hint.split('@')[0],
      processLoginHintToken() { throw new errors.InvalidRequest('no login_hint_token here'); },
      validateRequestContext() {},
      verifyUserCode(_ctx, { accountId }, code) {
        const want = people[accountId].userCode;
        if (want && !code) throw new errors.MissingUserCode();
        if (want && want !== code) throw new errors.InvalidUserCode();
      },
      triggerAuthenticationDevice(_ctx, { jti, params }) { phones.set(jti, params); },
    },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      tlsClientAuth: true,
      selfSignedTlsClientAuth: true,
      getCertificate: ({ socket }) => socket.getPeerX509Certificate?.(),
      certificateAuthorized: ({ socket }) => socket.authorized,
      certificateSubjectMatches: ({ socket }, property, expected) => property === 'tls_client_auth_san_uri'
        && socket.getPeerCertificate().subjectaltname === `URI:${expected}`,
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: (_ctx, _client, oneOf) => oneOf?.[0],
      useGrantedResource: () => true,
      getResourceServerInfo(_ctx, resource) {
        if (resource !== 'https://car.example.com/') throw new errors.InvalidTarget();
        return { scope: 'seat', accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } };
      },
    },
    richAuthorizationRequests: {
      enabled: true,
      types: { vehicle: { validate() {} }, vessel: { validate() {} } }, // clients are registered for one of them
      authorizationDetailsForGrantSource: (_ctx, source) => source.rar,
      authorizationDetailsForAccessToken: (_ctx, _token, source) => source.rar,
      authorizationDetailsForIntrospection: (_ctx, token) => token.rar,
    },
  },
});
provider.on('server_error', (_ctx, err) => console.error(err));

const callback = provider.callback();
for (const server of servers) {
  server.on('request', (req, res) => {
    if (req.url === '/control/decide') {
      control(req, res).catch((err) => res.writeHead(500).end(String(err?.stack ?? err)));
    } else {
      callback(req, res);
    }
  });
}
process.stdout.write(`${JSON.stringify({ issuer })}\n`);

async function control(req, res) {
  const decision = JSON.parse(await text(req));
  await decide(decision);
  res.setHeader('content-type', 'application/json');
  res.end(JSON.stringify(phones.get(decision.auth_req_id)));
}

async function decide({ auth_req_id: id, deny, acr, amr }) {
  const request = await provider.BackchannelAuthenticationRequest.find(id);
  if (!request) throw new Error('no such request');
  if (deny) {
    await provider.backchannelResult(request, new errors.AccessDenied('the person said no'));
    return;
  }
  const grant = new provider.Grant({ clientId: request.clientId, accountId: request.accountId });
  grant.addOIDCScope(request.scope);
  for (const resource of [request.resource ?? []].flat()) grant.addResourceScope(resource, request.scope);
  const rar = request.params.authorization_details && JSON.parse(request.params.authorization_details);
  for (const detail of rar ?? []) grant.addRar(detail);
  await grant.save();
  await provider.backchannelResult(request, grant, { acr, amr, rar, authTime: Math.floor(Date.now() / 1000) });
}

async function listen(options) {
  const server = createServer({ cert: config.cert, key: config.key, ...options });
  await new Promise((resolve) => server.listen(0, 'localhost', resolve));
  return server;
}

function newKey(type, options) {
  return generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' });
}

async function firstLine(input) {
  const lines = createInterface({ input });
  const line = await new Promise((resolve) => lines.once('line', resolve));
  return [JSON.parse(line), lines];
}
