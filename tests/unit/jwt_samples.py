#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes jwt_samples.h: a key set and tokens signed by its keys, whose private halves are thrown
away. Needs python3-cryptography; run by hand when a case is added:

    tests/unit/jwt_samples.py > tests/unit/jwt_samples.h && clang-format -i tests/unit/jwt_samples.h
"""
import base64
import hashlib
import hmac
import json
import textwrap

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

NOW = 2000000000 # what the test says the time is
RIGHT = {'iss': 'https://id.x.test', 'aud': 'mail', 'email': 'anna@x.test', 'exp': NOW + 3600}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


def number(value):
    return b64(value.to_bytes((value.bit_length() + 7) // 8, 'big'))


RSA, RSA_OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
RSA_SMALL = rsa.generate_private_key(65537, 1024)
EC, ED = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
POINT = EC.public_key().public_numbers()
ED_BYTES = ED.public_key().public_bytes(serialization.Encoding.Raw,
                                        serialization.PublicFormat.Raw)


def rsa_jwk(key, **more):
    numbers = key.public_key().public_numbers()
    return {'kty': 'RSA', 'n': number(numbers.n), 'e': number(numbers.e), **more}


EC_JWK = {'kty': 'EC', 'crv': 'P-256', 'x': b64(POINT.x.to_bytes(32, 'big')),
          'y': b64(POINT.y.to_bytes(32, 'big')), 'kid': 'ec'}
ED_JWK = {'kty': 'OKP', 'crv': 'Ed25519', 'x': b64(ED_BYTES), 'kid': 'ed', 'alg': 'EdDSA'}


def sign(alg, text):
    if alg == 'EdDSA':
        return ED.sign(text)
    if alg == 'ES256':
        r, s = utils.decode_dss_signature(EC.sign(text, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, 'big') + s.to_bytes(32, 'big')
    if alg == 'HS256': # by the public key, as a careless checker takes it
        return hmac.new(RSA.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo), text,
            hashlib.sha256).digest()
    if alg == 'none':
        return b''
    key = RSA_OTHER if alg == 'other' else RSA
    return key.sign(text, padding.PKCS1v15(), hashes.SHA256())


def token(alg='RS256', header=None, payload=None, by=None, signature=None, **claims):
    header = json.dumps({'alg': alg, **(header or {})}).encode() \
        if not isinstance(header, bytes) else header
    if payload is None:
        payload = json.dumps({k: v for k, v in {**RIGHT, **claims}.items()
                              if v is not None}).encode()
    text = b64(header) + '.' + b64(payload)
    return text + '.' + b64(sign(by or alg, text.encode()) if signature is None else signature)


def swapped():
    return token().split('.')[0] + '.' + b64(json.dumps({**RIGHT, 'email': 'bert@x.test'}).encode()
                                             ) + '.' + token().split('.')[2]


rs = token('RS256', {'kid': 'rsa'})
es_signature = base64.urlsafe_b64decode(token('ES256').split('.')[2] + '==')
SAMPLES = [
    # name, token, result
    ('RS256', rs, 0),
    ('RS256 without kid', token(), 0),
    ('ES256', token('ES256', {'kid': 'ec'}), 0),
    ('EdDSA', token('EdDSA', {'kid': 'ed', 'typ': 'at+jwt'}), 0),
    ('audience in a list', token(aud=['x', 'mail']), 0),
    ('time not whole', token(exp=NOW + 0.5, iat=NOW - 10, nbf=NOW - 0.25), 0),
    ('over for less than the leeway', token(exp=NOW - 59), 0),
    ('from the near future', token(nbf=NOW + 59, iat=NOW + 59), 0),
    ('over', token(exp=NOW - 61), -13),
    ('no end', token(exp=None), -13),
    ('end is text', token(exp='2000003600'), -13),
    ('end is null', token(exp=json.loads('[null]')), -13),
    ('not yet', token(nbf=NOW + 61), -13),
    ('issued in the future', token(iat=NOW + 61), -13),
    ('another issuer', token(iss='https://id.y.test'), -13),
    ('issuer with a slash more', token(iss='https://id.x.test/'), -13),
    ('no issuer', token(iss=None), -13),
    ('another audience', token(aud='shop'), -13),
    ('audiences of others', token(aud=['shop', 'mai', 'mail2', 5]), -13),
    ('no audience', token(aud=None), -13),
    ('no user', token(email=None), -13),
    ('user is a number', token(email=7), -13),
    ('user is empty', token(email=''), -13),
    ('user too long', token(email='a' * 321), -13),
    ('user with NUL', token(email='anna@x.test\0'), -13),
    ('address not verified', token(email_verified=False), -13),
    ('alg none', token('none'), -2),
    ('alg none with a signature', token('none', signature=b'x'), -13),
    ('alg None', token('None', by='RS256'), -13),
    ('no alg', token(header=b'{}'), -13),
    ('alg HS256 by the public key', token('HS256'), -13),
    ('alg HS256 by RSA', token('HS256', by='RS256'), -13),
    ('alg RS512', token('RS512', by='RS256'), -13),
    ('alg of another key', token('ES256', {'kid': 'rsa'}, by='RS256'), -13),
    ('alg in lower case', token('rs256', by='RS256'), -13),
    ('alg is a list', token(header=b'{"alg":["RS256"]}'), -13),
    ('unknown kid', token(header={'kid': 'new'}), -13),
    ('kid of another key', token(header={'kid': 'ec'}), -13),
    ('kid is a number', token(header={'kid': 5}), -13),
    ('kid null', token(header={'kid': None}), -13),
    ('crit', token(header={'crit': ['exp']}), -13),
    ('key in the header', token(by='other', header={'jwk': rsa_jwk(RSA_OTHER)}), -13),
    ('signed by another key', token(by='other'), -13),
    ('payload swapped', swapped(), -13),
    ('signature cut', rs[:-2], -13),
    ('no signature', token(signature=b''), -2),
    ('signature of zeros', token(signature=bytes(256)), -13),
    ('ES256 of zeros', token('ES256', signature=bytes(64)), -13),
    ('ES256 in DER', token('ES256', signature=b'\x30\x44\x02\x20' + es_signature[:32] +
                           b'\x02\x20' + es_signature[32:]), -13),
    ('EdDSA of zeros', token('EdDSA', signature=bytes(64)), -13),
    ('payload is a list', token(payload=b'[]'), -13),
    ('payload empty', token(payload=b' '), -13),
    ('payload is no JSON', token(payload=b'{"exp":}'), -13),
    ('payload has a name twice', token(payload=json.dumps(RIGHT).encode()[:-1] +
                                       b',"email":"bert@x.test"}'), -13),
    ('payload is deep', token(payload=b'{"a":' * 40 + b'1' + b'}' * 40), -13),
    ('payload is not UTF-8', token(payload=b'{"email":"\xff"}'), -13),
    ('header is deep', token(header=b'{"a":' * 40 + b'1' + b'}' * 40), -2),
    ('header is no JSON', token(header=b'hello'), -2),
    ('header with NUL', token(header=b'{"alg":"RS256"}\0'), -2),
    ('padded', rs + '=', -2),
    ('four parts', rs + '.e30', -2),
    ('five parts', rs + '.e30.e30', -2),
    ('two parts', '.'.join(rs.split('.')[:2]), -2),
    ('opaque', 'ya29.vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg', -2),
    ('dots', '..', -2),
    ('empty', '', -2),
]
KEY_SETS = [
    ('not a key set', '[]'), ('not a key set', ''), ('not a key set', '{"keys":{}}'),
    ('no key for', '{"keys":[]}'),
    ('no key for', json.dumps({'keys': [{**EC_JWK, 'crv': 'P-384'}]})),
    ('no key for', json.dumps({'keys': [{**EC_JWK, 'use': 'enc'}]})),
    ('no key for', '{"keys":[{"kty":"oct","k":"c2VjcmV0","alg":"HS256"},5]}'),
    ('below 2048', json.dumps({'keys': [rsa_jwk(RSA_SMALL)]})),
    ('not on the curve', json.dumps({'keys': [{**EC_JWK, 'x': EC_JWK['y']}]})),
    ('32 bytes', json.dumps({'keys': [{**EC_JWK, 'x': b64(bytes(31))}]})),
    ('missing', json.dumps({'keys': [{'kty': 'RSA', 'e': 'AQAB'}]})),
    ('not an RSA key', json.dumps({'keys': [{**rsa_jwk(RSA), 'e': 'AQAA'}]})),
    ('not an RSA key', json.dumps({'keys': [{**rsa_jwk(RSA), 'e': 'AQ'}]})),
    ('kid', json.dumps({'keys': [rsa_jwk(RSA, kid='k' * 256)]})),
]


def literal(text):
    pieces = textwrap.wrap(text, 80, break_on_hyphens=False, drop_whitespace=False) or ['']
    return '\n'.join(json.dumps(piece) for piece in pieces)


print('/* SPDX-License-Identifier: GPL-2.0-or-later')
print(' *\n * Made by jwt_samples.py: tokens, and what is to be said of them.\n */')
print('#ifndef RINGPOST_TESTS_JWT_SAMPLES_H\n#define RINGPOST_TESTS_JWT_SAMPLES_H\n')
print(f'enum {{ JWT_NOW = {NOW} }};\n')
jwks = {'keys': [rsa_jwk(RSA, kid='rsa', use='sig', alg='RS256'), EC_JWK, ED_JWK,
                 {'kty': 'oct', 'k': 'c2VjcmV0', 'kid': 'secret'}]}
print('static const char jwt_keys[] =\n' + literal(json.dumps(jwks)) + ';\n')
print('/* The right key behind another of its kind: without \"kid\" there is a choice. */')
print('static const char jwt_two_keys[] =\n' + literal(json.dumps(
    {'keys': [rsa_jwk(RSA_OTHER, kid='old'), rsa_jwk(RSA, kid='rsa')]})) + ';\n')
print('static const struct {\n    const char *name;\n    int result;\n    const char *token;\n'
      '} jwt_samples[] = {')
for name, text, result in SAMPLES:
    print(f'{{"{name}", {result},\n{literal(text)}}},')
print('};\n')
print('static const struct {\n    const char *why, *keys;\n} jwt_bad_keys[] = {')
for why, text in KEY_SETS:
    print(f'{{"{why}",\n{literal(text)}}},')
print('};\n\n#endif')
