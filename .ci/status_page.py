#!/usr/bin/env python3
"""Looks at the status page in a headless Chromium, while the quota runs out and upstream is down.

Usage: .ci/status_page.py PROGRAM AXE [FOLDER]

PROGRAM is the built `iai-facade`, AXE the file axe.min.js of axe-core. Screenshots are written to FOLDER. Runs in
an environment with playwright and grpcio. Installs Debian's chromium if it is missing.
"""

import contextlib
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import urllib.request

import grpc
from playwright.sync_api import expect, sync_playwright

TIMEOUT_MS = 30_000
GET_GROUP_INFO = "/iaifacade.v1.FaceRecognitionService/GetGroupInfo"
SCRIPT = "<script>document.title='injected'</script>"
CREDENTIAL = {
    "TENCENTCLOUD_SECRET_ID": "AKIDEMULATOR",
    "TENCENTCLOUD_SECRET_KEY": "emulator-secret",
}

# All servers are local.
for variable in ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy"):
    os.environ.pop(variable, None)
    os.environ.pop(variable.upper(), None)


def install():
    if not shutil.which("chromium"):
        subprocess.run(["apt-get", "update", "--quiet"], check=True)
        install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends"]
        subprocess.run([*install, "chromium"], check=True)


@contextlib.contextmanager
def started(message, *command, **variables):
    """Runs a server, and yields the fields of the line of its log that has this message."""
    flags = ["--log-format=json", "--listen=127.0.0.1:0"]
    environment = os.environ | variables
    process = subprocess.Popen(
        [*command, *flags], stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        lines = map(json.loads, process.stderr)
        line = next((line for line in lines if line["message"] == message), None)
        if line is None:
            sys.exit(f"{command} did not start")
        # Nothing else reads the log, which must not block the server.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield line
    finally:
        process.kill()
        process.wait()


def control(url, method, path, body=None):
    """Sends a request to the control API of the emulator."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/v1{path}", data, headers, method=method)
    urllib.request.urlopen(request, timeout=10).close()


class Callers:
    """Threads that call the service until they are stopped."""

    def __init__(self, address):
        self.address = address
        self.stopped = threading.Event()
        self.threads = []

    def start(self, name, pause):
        """Adds a caller that waits for `pause` seconds between two calls."""
        thread = threading.Thread(target=self._run, args=(name, pause), daemon=True)
        thread.start()
        self.threads.append(thread)

    def call(self, name, path=GET_GROUP_INFO, group="aaa"):
        """Makes one call; returns its status."""
        with grpc.insecure_channel(self.address) as channel:
            return self._call(channel, name, path, group)

    def _run(self, name, pause):
        with grpc.insecure_channel(self.address) as channel:
            for number in itertools.count():
                group = "aaa" if number % 10 else "unknown"
                self._call(channel, name, GET_GROUP_INFO, group)
                if self.stopped.wait(pause):
                    return

    @staticmethod
    def _call(channel, name, path, group):
        # The field 1 of the request is the id.
        message = b"\x0a" + bytes([len(group)]) + group.encode()
        metadata = [("x-forwarded-client-cert", f'URI="{name}"')]
        try:
            channel.unary_unary(path)(message, timeout=2, metadata=metadata)
            return grpc.StatusCode.OK
        except grpc.RpcError as error:
            return error.code()

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()


class Browser:
    """A headless Chromium that fails if a page violates its policy or asks for anything from elsewhere."""

    def __init__(self, playwright, url, folder):
        # Chromium has no sandbox of its own for root.
        self.browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        self.url = url
        self.folder = folder
        self.problems = []

    def open(self, **options):
        """Opens the page in a context of its own."""
        context = self.browser.new_context(**options)
        context.set_default_timeout(TIMEOUT_MS)
        page = context.new_page()
        page.on("console", lambda message: self.problems.append(message.text))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", self._check)
        page.goto(self.url)
        return page

    def _check(self, request):
        if not request.url.startswith((self.url, "data:")):
            self.problems.append(f"a request for {request.url}")

    def shoot(self, page, name):
        if self.folder:
            page.screenshot(path=pathlib.Path(self.folder, f"{name}.png"), full_page=True)

    def hold(self):
        if self.problems:
            sys.exit("\n".join(self.problems))


def check_looks(browser, axe, name):
    """Checks the page by axe-core at both widths and in both colour schemes."""
    for width, scheme in itertools.product((400, 1600), ("light", "dark")):
        options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
        page = browser.open(**options)
        browser.shoot(page, f"{name}-{width}-{scheme}")
        overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if overflow > 0:
            sys.exit(f"{name} at {width} px: {overflow} px too wide")
        # Evaluated and not added to the page, whose policy would forbid it.
        page.evaluate(axe)
        found = page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]
        for violation in found:
            nodes = [node["html"] for node in violation["nodes"]]
            print(f"{name} {width} {scheme}: {violation['id']}: {violation['help']}: {nodes}")
        if found:
            sys.exit(1)
        page.context.close()
    print(f"{name}: axe-core finds no violation at 400 and 1600 px, light and dark")


def check_quota(page, callers, control_url):
    """The quota runs out, while the page is open."""
    expect(page.locator("#findings")).to_have_text("No problem found.")
    control(control_url, "PUT", "/rate-limit", {"requests_per_second": 3})
    for number in range(8):
        callers.start(f"spiffe://shop/batch-{number % 2}", 0.05)
    findings = page.locator("#findings")
    expect(findings).to_contain_text("the rate is lowered to")
    expect(findings).to_contain_text("The quota is used up")
    expect(page.locator("#callers")).to_contain_text("forwarded:spiffe://shop/batch-1")
    waiting = page.locator("#callers tr", has_text="batch-1").locator("td").nth(4)
    expect(waiting).not_to_have_text("0")
    print("the page shows a quota that runs out")


def check_outage(page, control_url):
    """Upstream fails, while the page is open."""
    control(control_url, "DELETE", "/rate-limit")
    fault = {"times": 1_000_000, "status": {"code": 503}}
    control(control_url, "POST", "/faults", fault)
    findings = page.locator("#findings")
    expect(findings).to_contain_text("Circuit breaker open")
    expect(findings).to_contain_text("failed because of Tencent Cloud or this service")
    expect(page.locator("#circuit-breaker")).to_contain_text("open: rejects")
    expect(page.locator("#errors tbody tr").first).to_contain_text("UNAVAILABLE")
    print("the page shows an outage")


def check_recovery(page, control_url):
    control(control_url, "DELETE", "/faults")
    expect(page.locator("#circuit-breaker")).to_contain_text("closed")
    expect(page.locator("#findings")).to_have_text("No problem found.")
    print("the page shows the recovery")


def check_injection(browser, callers, control_url):
    """Text of callers and of upstream stays text."""
    response = {"Response": {"Error": {"Code": SCRIPT, "Message": SCRIPT}, "RequestId": SCRIPT}}
    fault = {"times": 1, "response": {"body": json.dumps(response)}}
    control(control_url, "POST", "/faults", fault)
    # HTTP/2 requests with < or > in their path are rejected before they are calls.
    path = "a\"'&%3Cscript%3E"
    callers.call("orders", path=f"/{path}")
    code = callers.call(SCRIPT)
    assert code == grpc.StatusCode.UNKNOWN, code
    page = browser.open()
    expect(page.locator("#callers")).to_contain_text(f"forwarded:{SCRIPT}")
    row = page.locator("#errors tbody tr", has_text="UNKNOWN").first
    expect(row.locator("td").nth(5)).to_have_text(SCRIPT)
    expect(row.locator("td").nth(6)).to_have_text(SCRIPT)
    row = page.locator("#errors tbody tr", has_text="UNIMPLEMENTED").first
    expect(row.locator("td").nth(3)).to_have_text(path)
    assert page.title() == "Ready – iai-facade status", page.title()
    assert page.locator("script").count() == 1
    print("<script> of a caller, a path and upstream stays text")


def check_without_script(browser):
    page = browser.open(java_script_enabled=False)
    for section in ("#findings", "#figures", "#charts svg", "#calls", "#errors"):
        expect(page.locator(section).first).to_be_visible()
    expect(page.locator("#refresh")).to_have_text("Reload the page to refresh it.")
    expect(page.locator("#pause")).to_be_hidden()
    print("the page is complete without JavaScript")


def check_refresh(browser):
    """The script refreshes every 2 s, unless the page is paused or hidden. The clock is that of the test."""
    context = browser.browser.new_context()
    page = context.new_page()
    page.clock.install()
    page.goto(browser.url)
    requests = []
    page.on("request", lambda request: requests.append(request.url))

    def refreshed(milliseconds):
        requests.clear()
        page.clock.run_for(milliseconds)
        return len(requests)

    def refreshes_after(milliseconds):
        with page.expect_response(browser.url):
            page.clock.run_for(milliseconds)

    refreshes_after(2_000)
    page.get_by_role("button", name="Pause").click()
    assert refreshed(60_000) == 0
    expect(page.locator("#refresh")).to_have_text("Paused")
    page.get_by_role("button", name="Resume").click()
    refreshes_after(2_000)
    hide = "document.dispatchEvent(new Event('visibilitychange'))"
    page.evaluate(f"Object.defineProperty(document, 'hidden', {{value: true, writable: true}}); {hide}")
    assert refreshed(60_000) == 0
    page.evaluate(f"document.hidden = false; {hide}")
    refreshes_after(2_000)
    context.close()
    print("the page refreshes every 2 s, unless it is paused or hidden")


def main(program, axe, folder=None):
    install()
    expect.set_options(timeout=TIMEOUT_MS)
    axe = pathlib.Path(axe).read_text()
    with contextlib.ExitStack() as stack:
        emulating = [program, "emulate", "--control-listen=127.0.0.1:0"]
        emulator = stack.enter_context(started("emulating", *emulating))
        control_url = f"http://{emulator['control.address']}"
        serving = [program, "serve", "--admin-listen=127.0.0.1:0", "--trust-forwarded-identity"]
        serving += [f"--endpoint={emulator['endpoint']}", "--unready-delay=0s"]
        service = stack.enter_context(started("listening", *serving, **CREDENTIAL))
        url = f"http://{service['admin.address']}/"
        callers = Callers(service["grpc.address"])
        stack.callback(callers.stop)
        browser = Browser(stack.enter_context(sync_playwright()), url, folder)

        callers.start("spiffe://shop/orders", 0.1)
        callers.start("spiffe://shop/billing", 0.3)
        page = browser.open(viewport={"width": 1600, "height": 900})
        expect(page.locator("#calls")).to_contain_text("NOT_FOUND")
        check_looks(browser, axe, "calm")
        check_quota(page, callers, control_url)
        check_looks(browser, axe, "quota")
        check_outage(page, control_url)
        check_looks(browser, axe, "outage")
        check_recovery(page, control_url)
        check_without_script(browser)
        check_refresh(browser)
        callers.stop()
        check_injection(browser, callers, control_url)
        browser.hold()


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:])
