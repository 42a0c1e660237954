# SPDX-License-Identifier: Apache-2.0
"""contrib/ and seep serve as Prometheus and Alertmanager see them."""
import http.server
import json
import os
import re
import subprocess
import threading

from harness import Proc, check, check_equal, find_program, test, wait_until
from test_serve import serve
from tool import victim

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
CONTRIB = os.path.join(ROOT, "contrib")
METRIC = re.compile(r"\bseep_[a-z_]+")


def read(*parts):
    with open(os.path.join(*parts)) as f:
        return f.read()


@test(per_engine=False)
def contrib_asks_for_metrics_that_there_are(env):
    known = set(METRIC.findall(read(ROOT, "doc", "metrics.md")))
    dashboard = json.loads(read(CONTRIB, "grafana.json"))
    asked = " ".join(t["expr"] for p in dashboard["panels"] for t in p["targets"])
    check(len(METRIC.findall(asked)) > 10, "the dashboard asks for metrics")
    for text in (asked, read(CONTRIB, "prometheus-rules.yml"), read(CONTRIB, "prometheus-rules-test.yml")):
        check_equal(sorted(set(METRIC.findall(text)) - known), [], "names that doc/metrics.md lacks")
    capabilities = {re.sub("^CAP_", "", c) for c in re.search(r"^CapabilityBoundingSet=(.*)$", read(CONTRIB, "seep-serve@.service"), re.M)[1].split()}
    granted = set(re.search(r"^ *add: \[(.*)\]$", read(CONTRIB, "kubernetes.yaml"), re.M)[1].split(", "))
    check_equal(granted, capabilities, "systemd and Kubernetes grant the same")


class Receiver:
    """Where Alertmanager sends its alerts."""

    def __init__(self, env):
        self.alerts = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                receiver.alerts += json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alerts"]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        env.stack.callback(self.server.shutdown)
        self.port = self.server.server_address[1]

    def firing(self):
        return {(a["labels"]["alertname"], a["labels"]["pid"]) for a in self.alerts if a["status"] == "firing"}


def start_alertmanager(env, receiver):
    config = os.path.join(env.tmp, "alertmanager.yml")
    with open(config, "w") as f:
        f.write("route: {receiver: test, group_by: ['...'], group_wait: 0s, group_interval: 1s}\n"
                f"receivers: [{{name: test, webhook_configs: [{{url: 'http://127.0.0.1:{receiver.port}/'}}]}}]\n")
    p = env.start(Proc, [find_program("prometheus-alertmanager"), f"--config.file={config}", "--web.listen-address=127.0.0.1:0",
                         "--cluster.listen-address=", f"--storage.path={env.tmp}/alerts"])
    return int(p.wait_line(re.compile(r"(?i)listening.*address=127\.0\.0\.1:(\d+)"), p.err)[1])


def start_prometheus(env, target_port, alerts_port):
    """With the rules of contrib/, whose minutes are seconds here."""
    with open(os.path.join(env.tmp, "rules.yml"), "w") as f:
        f.write(re.sub(r"for: \d+m", "for: 2s", read(CONTRIB, "prometheus-rules.yml")))
    config = os.path.join(env.tmp, "prometheus.yml")
    with open(config, "w") as f:
        f.write("global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}\nrule_files: [rules.yml]\n"
                f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alerts_port}']}}]}}]}}\n"
                f"scrape_configs: [{{job_name: seep, static_configs: [{{targets: ['127.0.0.1:{target_port}']}}]}}]\n")
    return env.start(Proc, [find_program("prometheus"), f"--config.file={config}", "--web.listen-address=127.0.0.1:0",
                            f"--storage.tsdb.path={env.tmp}/data"])


@test(per_engine=False, needs=("prometheus", "prometheus-alertmanager", "promtool"), timeout=90)
def prometheus_alerts_for_a_leak_and_not_for_a_cache(env):
    leak = env.start_quiet([env.path("demo", "leak")])
    cache = victim(env, "deep20")
    s = serve(env, leak.pid, cache.pid)
    receiver = Receiver(env)
    prometheus = start_prometheus(env, s.at(), start_alertmanager(env, receiver))
    wait_until(lambda: s.value("seep_up", pid=str(cache.pid)) == 1, "the cache is watched")
    cache.command("go 100 5")
    env.run(["promtool", "check", "rules", os.path.join(CONTRIB, "prometheus-rules.yml")])
    env.run(["promtool", "test", "rules", os.path.join(CONTRIB, "prometheus-rules-test.yml")])
    done = subprocess.run(["promtool", "check", "metrics"], input=s.ask("/metrics")[2], capture_output=True, check=False, timeout=20)
    check_equal((done.returncode, done.stderr), (0, b""), "promtool check metrics")
    prometheus.wait_for(lambda: ("SeepLeak", str(leak.pid)) in receiver.firing(), "the alert for the leak has come", 40)
    check_equal(s.value("seep_outstanding_bytes", pid=str(cache.pid)), 500.0, "what the cache holds")
    check_equal(receiver.firing(), {("SeepLeak", str(leak.pid))}, "alerts")
