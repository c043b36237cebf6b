"""A headless Chromium, driven through chromedriver's HTTP interface; nothing but the standard
library, so that browser tests add no dependency."""

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage",
)  # fmt: skip
START_S = 20
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the standard's key of an element reference


def missing() -> str | None:
    """Why no browser can be driven here; None if one can."""
    if BROWSER is None:
        return "needs chromium (apt-get install chromium)"
    return None if DRIVER else "needs chromedriver (apt-get install chromium-driver)"


class Browser:
    """One window. Use as a context manager."""

    def __init__(self, profile: Path, width: int = 1280, height: int = 900) -> None:
        assert DRIVER is not None
        self._driver = subprocess.Popen(
            [DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._session = ""
        try:
            self._root = f"http://127.0.0.1:{self._port()}"
            arguments = [*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"]
            options = {"binary": BROWSER, "args": arguments}
            logging = {"goog:loggingPrefs": {"browser": "ALL"}}
            patience = {"timeouts": {"script": 120_000}}
            wanted = {"alwaysMatch": {"goog:chromeOptions": options, **logging, **patience}}
            answer = self._send("POST", "/session", {"capabilities": wanted})
            self._session = f"/session/{answer['sessionId']}"
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._session:
            self._send("DELETE", self._session)
        self._driver.terminate()
        self._driver.wait(timeout=START_S)

    def open(self, page: Path) -> None:
        self._send("POST", f"{self._session}/url", {"url": page.resolve().as_uri()})

    def open_report(self, page: Path) -> None:
        """Open a report and wait until its episodes are unpacked."""
        self.open(page)
        self.await_report()

    def await_report(self) -> None:
        give_up = time.monotonic() + START_S
        while not self.run("return 'ready' in document.getElementById('episodes').dataset"):
            if time.monotonic() > give_up:
                raise RuntimeError(f"the report did not get ready; console: {self.console()}")
            time.sleep(0.05)

    def run(self, script: str, *arguments: object) -> Any:
        """The value that a function body returns in the page."""
        body = {"script": script, "args": list(arguments)}
        return self._send("POST", f"{self._session}/execute/sync", body)

    def run_async(self, script: str, *arguments: object) -> Any:
        """The value that a function body hands to its last argument, some time later."""
        body = {"script": script, "args": list(arguments)}
        return self._send("POST", f"{self._session}/execute/async", body)

    def click(self, selector: str) -> None:
        """A real click: fails if the element is hidden or covered."""
        where = "{block: 'center', behavior: 'instant'}"
        self.run(f"document.querySelector(arguments[0]).scrollIntoView({where})", selector)
        self._send("POST", f"{self._session}/element/{self._find(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        element = self._find(selector)
        self._send("POST", f"{self._session}/element/{element}/value", {"text": text})

    def choose(self, name: str, value: str) -> None:
        """Pick an option of a filter, as a user's choice reports it."""
        self.run(
            "const s = document.querySelector(`select[name=${arguments[0]}]`);"
            "s.value = arguments[1]; s.dispatchEvent(new Event('input', {bubbles: true}));",
            name,
            value,
        )

    def resize(self, width: int, height: int) -> None:
        self._send("POST", f"{self._session}/window/rect", {"width": width, "height": height})

    def visit(self, url: str) -> None:
        """Open an address of this machine."""
        self._send("POST", f"{self._session}/url", {"url": url})

    def command(self, name: str, **params: object) -> Any:
        """One of DevTools' own commands."""
        command = {"cmd": name, "params": params}
        return self._send("POST", f"{self._session}/goog/cdp/execute", command)

    def emulate(self, **features: str) -> None:
        """Media features, e.g. prefers_color_scheme="dark"."""
        named = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
        self.command("Emulation.setEmulatedMedia", features=named)

    def console(self) -> list[str]:
        """Messages of the page and of the browser about it, warnings and worse."""
        entries = self._send("POST", f"{self._session}/se/log", {"type": "browser"})
        return [e["message"] for e in entries if e["level"] in ("WARNING", "SEVERE")]

    def _find(self, selector: str) -> str:
        body = {"using": "css selector", "value": selector}
        return str(self._send("POST", f"{self._session}/element", body)[ELEMENT])

    def _port(self) -> int:
        assert self._driver.stdout is not None
        give_up = time.monotonic() + START_S
        for line in self._driver.stdout:
            if "started successfully on port" in line:
                return int(line.rsplit(maxsplit=1)[1].rstrip("."))
            if time.monotonic() > give_up:
                break
        raise RuntimeError("chromedriver did not start")

    def _send(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._root + path, data=data, method=method)
        request.add_header("Content-Type", "application/json")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # local: no proxy
        try:
            with opener.open(request, timeout=150) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from error
