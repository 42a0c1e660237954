# SPDX-License-Identifier: Apache-2.0
"""seep report --format html in a browser: what it shows, what clicking and typing do, and that it asks nobody for anything.

The browser runs a copy of the page with one more script, which acts as a person would and leaves what it saw in the page.
"""
import html
import json
import os
import re

from harness import Skip, check, check_equal, find_program, test

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
RECORDING = os.path.join(ROOT, "tests", "unit", "data", "growing.seepreplay")

DRIVE = """
<pre id="seen"></pre>
<script>
(async () => {
  const $ = (id) => document.getElementById(id), seen = {};
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  const frames = () => [...document.querySelectorAll('g.frame')];
  const width = (name) => { const g = frames().find((f) => f.getAttribute('name') === name); return g ? +g.getAttribute('width') : -1; };
  const key = (e, k) => e.dispatchEvent(new KeyboardEvent('keydown', {key: k, bubbles: true, cancelable: true}));
  const rows = () => document.querySelectorAll('tr.path').length;
  try {
    seen.title = $('title').textContent; seen.summary = $('summary').textContent;
    seen.rows = rows();
    seen.root = width(frames()[0].getAttribute('name'));
    seen.before = width('ZOOM');
    const frame = frames().find((f) => f.getAttribute('name') === 'ZOOM');
    frame.dispatchEvent(new MouseEvent('click', {bubbles: true}));
    seen.zoomed = width('ZOOM'); seen.text = $('frame-text').textContent;
    key($('flame'), 'Escape');
    seen.after = width('ZOOM');
    key($('flame'), 'ArrowDown'); key($('flame'), 'ArrowDown');
    seen.keyboard = $('frame-text').textContent;
    $('search').value = 'ZOOM'.toUpperCase(); $('search').dispatchEvent(new Event('input'));
    await pause(400);
    seen.found = rows(); seen.said = $('found').textContent;
    const row = document.querySelector('tr.path');
    row.click();
    seen.detail = document.querySelector('tr.detail').innerText;
    seen.blocks = document.querySelectorAll('.blocks li').length;
    $('search').value = ''; $('search').dispatchEvent(new Event('input'));
    await pause(400);
    document.querySelectorAll('th button')[2].click();
    seen.first = document.querySelector('tr.path td.name').textContent;
    $('theme').click(); $('theme').click();
    seen.theme = document.documentElement.dataset.theme; seen.back = getComputedStyle(document.body).backgroundColor;
    seen.requests = performance.getEntriesByType('resource').length;
    seen.scripts = document.scripts.length; seen.owned = window.owned || 0;
  } catch (e) { seen.error = String(e.stack); }
  $('seen').textContent = '==[' + JSON.stringify(seen) + ']==';
})();
</script>
"""


def report(env, recording, *args):
    return env.run([env.path("seep"), "report", "--older", "0", *args, recording])


def browse(env, page, zoom):
    """What the script saw in the browser."""
    env.need("chromium")
    path = os.path.join(env.tmp, "page.html")
    with open(path, "w") as f:
        f.write(page.replace("</body>", DRIVE.replace("ZOOM", zoom) + "</body>"))
    dom = env.run([find_program("chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                   f"--user-data-dir={env.tmp}/profile", "--window-size=1300,1000", "--virtual-time-budget=20000", "--dump-dom",
                   "file://" + path], timeout=110)
    found = re.search(r'<pre id="seen">==\[(.*?)\]==</pre>', dom, re.DOTALL)
    if not found:
        raise Skip(f"chromium ran no script here: {dom[:200]}")
    seen = json.loads(html.unescape(found[1]))
    check("error" not in seen, seen.get("error"))
    return seen


@test(per_engine=False, timeout=150)
def a_page_can_be_clicked_searched_and_sorted_and_asks_nobody(env):
    page = report(env, RECORDING, "--format", "html", "--list")
    seen = browse(env, page, "read_request")
    totals = json.loads(report(env, RECORDING, "--json", "--top", "0"))["totals"]
    check_equal((seen["title"], seen["rows"]), ("server (pid 4711)", totals["paths"]), "title, rows")
    check(f"in {totals['blocks']} blocks" in seen["summary"], seen["summary"])
    check(0 < seen["before"] < 0.5 * seen["root"], f"the frame's share: {seen}")
    check_equal(round(seen["zoomed"]), round(seen["root"]), "width after a click")
    check_equal(seen["after"], seen["before"], "width after Esc")
    check(seen["text"].startswith("read_request  ") and seen["keyboard"].startswith("__libc_start_call_main  "), f"what is said of frames: {seen}")
    check_equal(seen["found"], 1, "rows that a search finds")
    check("request.c:118" in seen["detail"] and seen["blocks"] == 59 + 1, f"details: {seen['blocks']} {seen['detail'][:500]}")
    check(seen["first"].startswith("table_init"), f"the largest: {seen['first']}")
    check_equal((seen["theme"], seen["back"]), ("dark", "rgb(20, 23, 27)"), "the dark theme")
    check_equal(seen["requests"], 0, "requests of the page")
    check(not re.search(r"""<(?:link|img|iframe|script[^>]*\ssrc)|@import|url\(""", page), "something to load in the page")


HOSTILE = r"""seep-replay 2
target 77 <b>x
module app /app 0x1000 abcd
frame 0x2000 </script><script>window.owned=1</script> 0x8 app
frame 0x3000 <img/src=x/onerror=window.owned=2> 0x8 app </style><script>window.owned=3</script> 7
frame 0x4000 __proto__ 0x8 app
path 1 0x2000 0x3000 0x4000
snapshot 1000000000
block 0x10000 64 900000000 1 malloc
end
"""


@test(per_engine=False, timeout=150)
def hostile_names_are_text_in_a_page(env):
    path = os.path.join(env.tmp, "hostile.seepreplay")
    with open(path, "w") as f:
        f.write(HOSTILE)
    seen = browse(env, report(env, path, "--format", "html"), "__proto__")
    check_equal((seen["owned"], seen["title"], seen["scripts"]), (0, "<b>x (pid 77)", 5), "scripts run, title, scripts")
    check("window.owned=1</script>" in seen["detail"], seen["detail"])
