"""The command line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import miniray
from miniray.cli import main

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "python"


def run(*args, **kwargs):
    env = {**os.environ, **kwargs.pop("env", {})}
    return subprocess.run([sys.executable, "-c", "from miniray.cli import main; main()", *args], capture_output=True, text=True,
                          timeout=120, env=env, **kwargs)


@pytest.mark.parametrize("script, expected", [
    ("basic_task.py", "1 + 2 = 3"), ("actor_counter.py", "ten increments: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]"),
    ("map_reduce.py", "sum of the squares below 100000: 333328333350000"), ("word_count.py", "different"), ("pi.py", "after 400000 points: 3.1"),
    ("parameter_server.py", "weights: [3.0, -1.0, 0.5, 2.0]"), ("batch_inference.py", "the same as in one process: True"),
    ("streaming_map_reduce.py", "15 blocks, 15000 words"), ("web_crawler.py", "40 pages, the last one is 'page 39'"),
    ("pi_progress.py", "worker 3: 20/20"), ("key_value_store.py", "1000 keys on 4 shards"), ("hyper_search.py", "were stopped early"),
])
def test_examples(script, expected):
    result = subprocess.run([sys.executable, str(EXAMPLES / script)], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0 and expected in result.stdout, result.stderr
    assert result.stderr == ""


def test_run_chooses_the_back_end(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import sys, miniray as ray\nf = ray.remote(lambda: 5)\nprint(ray.get(f.remote()), sys.argv[1:], ray.cluster_resources()['CPU'])\n")
    policy = tmp_path / "p.lua"
    policy.write_text("return {}\n")
    result = run("run", "--store", "store-mem", "--policy", str(policy), "--workers", "3", str(script), "--own", "argument")
    assert result.returncode == 0 and result.stdout.strip() == "5 ['--own', 'argument'] 3.0", result.stderr


def test_the_scripts_own_arguments_win(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import miniray as ray\nray.init(num_cpus=1)\nprint(ray.cluster_resources()['CPU'])\n")
    assert run("run", "--workers", "3", str(script)).stdout.strip() == "1.0"


def test_run_refuses(tmp_path):
    assert run("run", "nothing.py").returncode == 2
    script = tmp_path / "s.py"
    script.write_text("import miniray as ray\nray.init()\n")
    result = run("run", "--store", "store-nowhere", str(script))
    assert result.returncode != 0 and "store-nowhere" in result.stderr
    config = tmp_path / "bad.ini"
    config.write_text("[store]\nplugn = store-mem\n")
    result = run("run", "--config", str(config), str(script))
    assert result.returncode == 2 and result.stderr.startswith(f"miniray run: {config}:2: store.plugn: ")


def test_run_tells_an_interrupt_as_python_does(tmp_path):
    script = tmp_path / "s.py"
    script.write_text("import os, signal, miniray as ray\nray.init(num_cpus=1)\nos.kill(os.getpid(), signal.SIGINT)\nray.get([])\n")
    result = run("run", str(script))
    assert result.returncode == 130 and f'File "{script}", line 3' in result.stderr and "runpy" not in result.stderr
    assert result.stderr.endswith("KeyboardInterrupt\n")


def test_config(tmp_path):
    good, bad = tmp_path / "good.ini", tmp_path / "bad.ini"
    good.write_text("[node]\ncpus = 2\n")
    bad.write_text("[nod]\ncpus = 2\n")
    assert run("config", "check", str(good)).returncode == 0
    result = run("config", "check", str(bad))
    assert result.returncode == 2 and "bad.ini:1" in result.stderr and "node" in result.stderr
    dumped = run("config", "dump", str(good), env={"MINIRAY_ENGINE_HISTORY": "77"}).stdout
    assert "[node]" in dumped and "good.ini:2" in dumped and "history = 77" in dumped and "environment" in dumped
    assert "cpus" in run("config", "help").stdout and "infeasible" in run("config", "help", "engine").stdout
    assert run("config", "help", "nothing").returncode == 2


def test_a_section_that_no_plugin_has(tmp_path):
    file = tmp_path / "mini.ini"
    file.write_text("[sched.locality]\ndelay = 2ms\n")  # of a plugin that is not chosen: kept
    other = run("config", "check", str(file))
    assert other.returncode == 0, other.stderr
    for section, meant in (("sched.lau", "; did you mean sched.lua"), ("store.smh", "; did you mean store.shm"),
                           ("sched.utterly-unknown", "")):
        file.write_text(f"[node]\ncpus = 2\n[{section}]\nx = 1\n")
        result = run("config", "check", str(file))
        assert result.returncode == 2 and f"mini.ini:4: {section}: no such plugin{meant}" in result.stderr, result.stderr
        with pytest.raises(miniray.exceptions.ConfigError, match=f"mini.ini:4: {section}: no such plugin"):
            miniray.init(config=str(file))


def test_plugins():
    listed = run("plugins", "list")
    assert listed.returncode == 0 and all(p in listed.stdout for p in ("store-shm", "sched-fifo")), listed.stderr
    assert "store" in run("plugins", "describe", "store-mem").stdout
    assert run("plugins", "describe", "no-such-plugin").returncode != 0


@pytest.mark.parametrize("kind", ["store", "sched"])
def test_new_plugin(tmp_path, kind):
    result = CliRunner().invoke(main, ["new-plugin", kind, "my-own", "--into", str(tmp_path)])
    assert result.exit_code == 0, result.output
    texts = [p.read_text() for p in (tmp_path / "my-own").iterdir()]
    assert len(texts) >= 2 and all("@NAME@" not in t and "@IDENT@" not in t for t in texts) and any("my_own" in t for t in texts)
    assert CliRunner().invoke(main, ["new-plugin", kind, "my-own", "--into", str(tmp_path)]).exit_code != 0
    assert CliRunner().invoke(main, ["new-plugin", kind, "My Own"]).exit_code == 2


def test_help_and_typos():
    result = CliRunner().invoke(main, ["--help"])
    assert all(word in result.output for word in ("run", "config", "plugins", "new-plugin", "demo", "lab", "version"))
    result = CliRunner().invoke(main, ["confg"])
    assert result.exit_code == 2 and "did you mean 'config'" in result.output
    assert "miniray" in CliRunner().invoke(main, ["version"]).output
