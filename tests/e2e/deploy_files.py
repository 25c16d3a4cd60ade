#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of deploy/ that only other programs read: the seccomp profile is the runtime's default
and io_uring; the compose file and the manifests say what the image and the config say; each config
in them, and each sample, passes `ringpost check`. tests/e2e/container.py runs what they describe.
"""
import contextlib
import copy
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile

from harness import RINGPOST, check

HERE = os.path.dirname(os.path.abspath(__file__))
DEPLOY = os.path.join(HERE, '../../deploy')
PROFILE = os.path.join(DEPLOY, 'seccomp.json')
CALLS = ['io_uring_setup', 'io_uring_enter', 'io_uring_register']


def run(*words, status=0, stdin='', env=None, timeout=120):
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=timeout,
                          check=False, env={**os.environ, **(env or {})})
    check(status is None or done.returncode == status,
          f'{words}: exit status {done.returncode}: {done.stdout[-1500:]}{done.stderr[-1500:]}')
    return done.stdout + done.stderr


def load_yaml(path):
    """All documents of a file, by the distribution's own Python, which has the package."""
    program = 'import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))))'
    with open(path, encoding='utf-8') as file:
        return json.loads(run('/usr/bin/python3', '-c', program, stdin=file.read()))


def load_json(path):
    with open(path, encoding='utf-8') as file:
        return json.load(file)


def test_profile():
    """The runtime's default and the three calls, nothing else."""
    made = load_json(PROFILE)
    check([rule for rule in made['syscalls'] if set(rule['names']) & set(CALLS)] ==
          [{**made['syscalls'][-1], 'names': CALLS, 'action': 'SCMP_ACT_ALLOW'}], 'io_uring')
    check(made['defaultAction'] == 'SCMP_ACT_ERRNO', made['defaultAction'])
    names = [name for rule in made['syscalls'] for name in rule['names']
             if rule['action'] == 'SCMP_ACT_ALLOW' and not (rule.get('includes') or {}).get('caps')]
    for name in ('landlock_create_ruleset', 'landlock_add_rule', 'landlock_restrict_self',
                 'seccomp', 'prctl'): # what the gateway confines itself with
        check(name in names, f'{name} is not allowed')
    for name in ('bpf', 'init_module', 'kexec_load', 'userfaultfd'):
        check(name not in names, f'{name} is allowed')
    # a default that has an opinion about io_uring gives the same
    base = copy.deepcopy(made)
    base['syscalls'][-1].update(action='SCMP_ACT_ERRNO', names=[*CALLS, 'other'])
    with tempfile.NamedTemporaryFile('w', suffix='.json') as file:
        json.dump(base, file)
        file.flush()
        again = json.loads(run(sys.executable, os.path.join(DEPLOY, 'seccomp.py'), file.name))
    check(again['syscalls'][-1] == made['syscalls'][-1], again['syscalls'][-1])
    check(again['syscalls'][-2]['names'] == ['other'], again['syscalls'][-2])


def variables_exist(names):
    """Each is a key: `check` with all of them says nothing about their names."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'empty.conf')
        with open(path, 'w', encoding='utf-8'):
            pass
        said = run(RINGPOST, 'check', '--config', path, status=1,
                   env={name: '1' for name in names})
    check('no key' not in said, said)


def test_compose():
    service = load_yaml(os.path.join(DEPLOY, 'compose.yaml'))[0]['services']['ringpost']
    check(service['read_only'] and service['cap_drop'] == ['ALL'], service)
    check('no-new-privileges:true' in service['security_opt'], service)
    profile = [word for word in service['security_opt'] if word.startswith('seccomp=')][0]
    check(os.path.exists(os.path.join(DEPLOY, profile.partition('=')[2])), profile)
    check(os.path.exists(os.path.join(DEPLOY, service['build']['context'],
                                      service['build']['dockerfile'])), service['build'])
    check(service['volumes'] == ['mail:/var/lib/ringpost'], service['volumes'])
    check(service['healthcheck']['test'][1:3] == ['/usr/bin/ringpost', 'healthcheck'], service)
    with open(os.path.join(DEPLOY, 'container.conf'), encoding='utf-8') as file:
        inside = set(re.findall(r'address = "::"; port = (\d+)', file.read()))
    check({row.split(':')[1] for row in service['ports']} == inside, service['ports'])
    variables_exist(service['environment'])


def test_compose_dovecot():
    """As the other, but for what is another: no volume, and a config of its own."""
    services = load_yaml(os.path.join(DEPLOY, 'compose.dovecot.yaml'))[0]['services']
    plain = load_yaml(os.path.join(DEPLOY, 'compose.yaml'))[0]['services']['ringpost']
    service = services['ringpost']
    for key in ('read_only', 'cap_drop', 'security_opt', 'ulimits', 'pids_limit', 'build'):
        check(service[key] == plain[key], f'{key}: {service[key]}')
    check('dovecot' in service['depends_on'] and 'dovecot' in services, service)
    with open(os.path.join(DEPLOY, 'container-front.conf'), encoding='utf-8') as file:
        text = file.read()
    inside = set(re.findall(r'address = "::"; port = (\d+)', text))
    check({row.split(':')[1] for row in service['ports']} == inside, service['ports'])
    mounts = [row.split(':')[1] for row in service['volumes']]
    check(all(row.endswith(':ro') for row in service['volumes']), 'nothing is kept')
    check(service['command'][2] == service['healthcheck']['test'][-1] == mounts[0], mounts)
    check(service['volumes'][0].startswith('./container-front.conf:'), service['volumes'])
    variables_exist(service['environment'])
    env = {'RINGPOST_HOST_NAME': 'mail.example.org', 'RINGPOST_DOMAINS__0__NAME': 'example.org',
           'RINGPOST_POOLS__0__TLS_PINS': ':'.join(['AB'] * 32),
           'RINGPOST_AUTH__DEFAULT_DOMAIN': 'example.org',
           'RINGPOST_POOLS__0__BACKENDS__0__ADDRESS': '192.0.2.1'}
    check(set(service['environment']) == set(env) - {'RINGPOST_POOLS__0__BACKENDS__0__ADDRESS'},
          service['environment'])
    places = {'/var/lib/ringpost/tls/': '{}/', 'user = "ringpost"': '#'}
    checked(text, places, {}, env)
    env['RINGPOST_POOLS__0__BACKENDS__0__ADDRESS'] = 'dovecot.invalid'
    said = checked(text, places, {}, env, status=1)
    check('backend "dovecot": dovecot.invalid cannot be looked up' in said, said)
    del env['RINGPOST_POOLS__0__TLS_PINS']
    said = checked(text, places, {}, env, status=1)
    check('tls without tls_ca or tls_pins' in said, said)


def checked(text, replaced, users, env=None, status=0):
    """A sample config is right, but for what belongs to its machine."""
    with tempfile.TemporaryDirectory() as folder:
        run(RINGPOST, 'certificate', 'make', '--dir', folder, 'mx.example.org')
        for name, user in users.items():
            if user is None:
                with contextlib.closing(sqlite3.connect(f'{folder}/{name}')) as database:
                    database.execute('CREATE TABLE accounts (name TEXT PRIMARY KEY, '
                                     'password TEXT, disabled INTEGER)')
            else:
                for one in user:
                    run(RINGPOST, 'user', 'add', '--scheme', 'sha512', '--file',
                        f'{folder}/{name}', one, stdin='pw\n')
        for here, there in replaced.items():
            check(here in text, f'{here} is not in the sample')
            text = text.replace(here, there.format(folder))
        path = os.path.join(folder, 'ringpost.conf')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        return run(RINGPOST, 'check', '--config', path, env=env, status=status)


def test_examples():
    with open(os.path.join(DEPLOY, 'examples/store.conf'), encoding='utf-8') as file:
        checked(file.read(), {'/etc/ringpost/': '{}/', '/var/lib/ringpost/': '{}/',
                              '/run/ringpost/': '{}/', 'user = "ringpost"': '#'},
                {'example.org.passwd': ['anna@example.org', 'postmaster@example.org'],
                 'accounts.sqlite': None})
    with open(os.path.join(DEPLOY, 'examples/front.conf'), encoding='utf-8') as file:
        text = file.read()
    checked(text.replace('/etc/ringpost/backends-ca.pem', '/etc/ringpost/certificate.pem').replace(
        '/etc/ringpost/master.password', '/etc/ringpost/key.pem'), # files that are there
            {'/etc/ringpost/': '{}/', '/var/lib/ringpost/': '{}/', '/run/ringpost/': '{}/',
             'user = "ringpost"': '#'}, {})
    check(sorted(os.listdir(os.path.join(DEPLOY, 'examples'))) == ['front.conf', 'store.conf'],
          'a sample that no test reads')


def test_kubernetes():
    path = os.path.join(DEPLOY, 'kubernetes/ringpost.yaml')
    kinds = {one['kind']: one for one in load_yaml(path)}
    config = kinds['ConfigMap']['data']['ringpost.conf']
    checked(config, {'/etc/ringpost-users/': '{}/', '/etc/ringpost-tls/tls.crt':
                     '{}/certificate.pem', '/etc/ringpost-tls/tls.key': '{}/key.pem'},
            {'users.passwd': ['postmaster@example.org']})
    pod = kinds['StatefulSet']['spec']['template']['spec']
    check(kinds['StatefulSet']['spec']['replicas'] == 1, 'a store belongs to one process')
    check(pod['securityContext']['seccompProfile']['type'] == 'Localhost', pod)
    container = pod['containers'][0]
    check(container['securityContext']['capabilities'] == {'drop': ['ALL']}, container)
    check(container['securityContext']['readOnlyRootFilesystem'] is True, container)
    variables_exist([one['name'] for one in container['env']])
    ports = {one['name']: one['containerPort'] for one in container['ports']}
    check({str(port) for port in ports.values()} ==
          set(re.findall(r'port = (2\d+)', config)) - {'2080'}, ports)
    check({one['targetPort'] for one in kinds['Service']['spec']['ports']} == set(ports), 'Service')
    for probe in ('startupProbe', 'readinessProbe', 'livenessProbe'):
        command = container[probe]['exec']['command']
        check(command[:2] == ['/usr/bin/ringpost', 'healthcheck'], command)
        said = run(RINGPOST, *command[1:-1], '/nowhere', status=1) # its options are known
        check('usage' not in said, said)
    mounts = [one['mountPath'] for one in container['volumeMounts']]
    for path in re.findall(r'"(/[^"]+)"', config):
        check(any(path.startswith(mount) for mount in mounts), f'{path} is not mounted')


def main():
    if subprocess.run(['/usr/bin/python3', '-c', 'import yaml'], capture_output=True,
                      check=False).returncode != 0:
        print('python3-yaml is not installed')
        sys.exit(77)
    for test in (test_profile, test_compose, test_compose_dovecot, test_examples, test_kubernetes):
        test()
        print(f'{test.__name__}: ok', flush=True)


if __name__ == '__main__':
    sys.exit(main())
