# SPDX-License-Identifier: GPL-2.0-or-later
"""A browser for tests: headless Chromium, driven over WebDriver's HTTP by Python's own library.

    with Browser() as browser:
        browser.open('/tmp/page.html')
        browser.run('return document.title')
"""
import base64
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

PORTS = range(24400, 24500)


def is_there():
    return bool(shutil.which('chromedriver') and shutil.which('chromium'))


def free_port():
    for port in PORTS:
        with socket.socket() as probe:
            try:
                probe.bind(('127.0.0.1', port))
                return port
            except OSError:
                continue
    raise SystemExit('no free port for chromedriver')


class Browser:
    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix='ringpost-browser-')
        self.port = free_port()
        with open(os.path.join(self.folder, 'log'), 'wb') as log:
            self.driver = subprocess.Popen(
                ['chromedriver', f'--port={self.port}'], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, env=dict(os.environ, TMPDIR=self.folder, HOME=self.folder))
        try:
            self.session = None
            self.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            if self.session:
                self.call('DELETE', '')
        finally:
            self.driver.terminate()
            self.driver.wait(30)
            shutil.rmtree(self.folder, ignore_errors=True)

    def begin(self):
        options = {'args': ['--headless=new', '--disable-gpu', '--disable-dev-shm-usage',
                            f'--user-data-dir={self.folder}/profile']
                   + (['--no-sandbox'] if os.geteuid() == 0 else [])}
        wanted = {'browserName': 'chrome', 'goog:chromeOptions': options,
                  'goog:loggingPrefs': {'browser': 'ALL', 'performance': 'ALL'}}
        until = time.monotonic() + 30
        while True:
            try:
                reply = self.request('POST', '/session', {'capabilities': {'alwaysMatch': wanted}})
                break
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
        self.session = reply['sessionId']

    def request(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f'http://127.0.0.1:{self.port}{path}', data, method=method,
                                         headers={'Content-Type': 'application/json'})
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                return json.load(reply)['value']
        except urllib.error.HTTPError as error:
            raise AssertionError(f'{path}: {error.read().decode()[:500]}') from error

    def call(self, method, path, body=None):
        return self.request(method, f'/session/{self.session}{path}', body)

    def command(self, name, **parameters):
        """Of Chromium's own protocol."""
        return self.call('POST', '/goog/cdp/execute', {'cmd': name, 'params': parameters})

    def open(self, path):
        self.call('POST', '/url', {'url': 'file://' + os.path.abspath(path)})

    def run(self, script, *arguments):
        return self.call('POST', '/execute/sync', {'script': script, 'args': list(arguments)})

    def size(self, width, height=900):
        self.command('Emulation.setDeviceMetricsOverride', width=width, height=height,
                     deviceScaleFactor=1, mobile=False)

    def scheme(self, which):
        """light or dark"""
        self.command('Emulation.setEmulatedMedia', features=[
            {'name': 'prefers-color-scheme', 'value': which}])

    def paper(self, is_on):
        """As if printed on A4 with margins of 14 mm, or on the screen again."""
        self.size(688 if is_on else 1280)
        self.command('Emulation.setEmulatedMedia', media='print' if is_on else '', features=[])

    def log(self, kind):
        """What came since the last call: of browser (the console) or performance (the network)."""
        return self.call('POST', '/se/log', {'type': kind})

    def requests(self):
        """Addresses that pages from files fetched since the last call, themselves included."""
        events = [json.loads(entry['message'])['message'] for entry in self.log('performance')]
        return [event['params']['request']['url'] for event in events
                if event['method'] == 'Network.requestWillBeSent'
                and event['params'].get('documentURL', '').startswith('file:')]

    def point(self, x, y, click=False):
        """Moves the pointer to a place of the window."""
        steps = [{'type': 'pointerMove', 'duration': 0, 'x': int(x) + step, 'y': int(y)}
                 for step in (0, 1)]
        if click:
            steps += [{'type': 'pointerDown', 'button': 0}, {'type': 'pointerUp', 'button': 0}]
        self.call('POST', '/actions', {'actions': [
            {'type': 'pointer', 'id': 'mouse', 'actions': steps}]})

    def print(self):
        """The page as PDF, on A4."""
        return base64.b64decode(self.call('POST', '/print', {
            'page': {'width': 21, 'height': 29.7}, 'background': True}))

    def shot(self, path):
        size = self.run('return [innerWidth, document.documentElement.scrollHeight]')
        clip = {'x': 0, 'y': 0, 'width': size[0], 'height': size[1], 'scale': 1}
        shown = self.command('Page.captureScreenshot', clip=clip, captureBeyondViewport=True)
        with open(path, 'wb') as file:
            file.write(base64.b64decode(shown['data']))
