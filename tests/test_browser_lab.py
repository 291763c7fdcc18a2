"""JupyterLab as `make lab` starts it, in a browser: a notebook runs, runs again with another parameter, its controls move."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import yaml
from browser import browser_page, chromium, screenshots

ROOT = Path(__file__).resolve().parent.parent
TOKEN = "of-this-test-alone"
WAIT = 600_000  # milliseconds for a notebook: a limit, not a promise


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """`make lab` in a checkout of its own with smoke-sized notebooks; yields the address of its JupyterLab."""
    chromium()
    folder = tmp_path_factory.mktemp("lab")
    root = checkout(folder / "root")
    port = free_port()
    log = (folder / "lab.log").open("wb")
    server = subprocess.Popen(
        ["make", "lab"], cwd=root, env=environment(folder, port), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/api/status?token={TOKEN}", server, folder / "lab.log")
        yield address
    finally:
        log.close()
        stop(server)


def checkout(root: Path) -> Path:
    """A copy of what `make lab` needs, whose environment is the one that the tests run in."""
    (root / ".venv" / "bin").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, root)
    (root / ".venv" / ".installed").touch()
    python = root / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (root / "notebooks").mkdir()
    smoke = yaml.safe_load((ROOT / "notebooks" / "profiles" / "smoke.yaml").read_text(encoding="utf-8"))
    for name in ("00_attack_by_hand", "04_location"):
        text = (ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8")
        notebook = json.loads(text)
        (cell,) = [c for c in notebook["cells"] if "parameters" in c["metadata"].get("tags", [])]
        cell["source"] = set_parameters("".join(cell["source"]), smoke[name] | {"DATA": "standin"})
        (root / "notebooks" / f"{name}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    return root


def set_parameters(source: str, values: dict) -> str:
    for name, value in values.items():
        source, times = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value!r}", source)
        assert times == 1, name
    return source


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def environment(folder: Path, port: int) -> dict[str, str]:
    """Settings of JupyterLab of this test alone; and a kernel of the user's that bears the usual name and cannot start."""
    server = {"port": port, "port_retries": 0, "open_browser": False, "allow_root": True}
    quiet = {"news_url": None, "check_for_updates_class": "jupyterlab.handlers.announcements.NeverCheckForUpdate"}
    config = {"ServerApp": server, "IdentityProvider": {"token": TOKEN}, "LabApp": quiet}
    (folder / "config").mkdir()
    (folder / "config" / "jupyter_server_config.json").write_text(json.dumps(config))
    settings = {
        "notebook-extension/tracker": {"windowingMode": "none"},  # cells out of sight are in the page, too
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    }
    for name, content in settings.items():
        path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content))
    spec = {"argv": ["false", "{connection_file}"], "display_name": "another", "language": "python"}
    (folder / "jupyter" / "kernels" / "python3").mkdir(parents=True)
    (folder / "jupyter" / "kernels" / "python3" / "kernel.json").write_text(json.dumps(spec))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "JUPYTER", "TQDM", "MIALIB"))}
    own = {"MIALIB_DATA": "data", "MIALIB_CACHE": "cache", "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "jupyter"}
    own |= {"JUPYTER_RUNTIME_DIR": "runtime"}
    own |= {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "IPYTHONDIR": "ipython"}
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return kept | {name: str(folder / part) for name, part in own.items()} | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def wait_for(address: str, server: subprocess.Popen, log: Path, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"make lab did not answer:\n{log.read_text(encoding='utf-8', errors='replace')[-3000:]}")


def stop(server: subprocess.Popen) -> None:
    """End make and what it started: the server ends its kernels."""
    for each in (signal.SIGTERM, signal.SIGKILL):
        if server.poll() is None:
            os.killpg(server.pid, each)
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                continue


# What a reader does


def open_notebook(page, address: str, name: str) -> None:
    page.goto(f"{address}/lab/tree/{name}.ipynb?token={TOKEN}&reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=WAIT)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=WAIT)  # the indicator is idle before there is a kernel


def run_all(page) -> None:
    """Run all cells by the menu, and wait until each has a number that it did not have before."""
    before = last_number(page)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_function(
        """before => {
            const cells = [...document.querySelectorAll(".jp-Notebook .jp-CodeCell")];
            const numbers = cells.map(c => parseInt(c.querySelector(".jp-InputPrompt").textContent.slice(1)));
            const outputs = [...document.querySelectorAll(".jp-OutputArea-output")];
            return outputs.some(o => o.textContent.includes("Traceback")) || numbers.every(n => n > before);
        }""",
        arg=before,
        timeout=WAIT,
    )
    assert errors(page) == []


def last_number(page) -> int:
    prompts = page.locator(".jp-Notebook .jp-CodeCell .jp-InputPrompt").all_inner_texts()
    return max([0, *(int(found[0]) for prompt in prompts if (found := re.findall(r"\d+", prompt)))])


def errors(page) -> list[str]:
    """Tracebacks in outputs, and what the controls say where they fail."""
    outputs = page.locator(".jp-OutputArea-output").filter(has_text="Traceback (most recent call last)")
    return [*outputs.all_inner_texts(), *page.locator('.jp-OutputArea [role="alert"]').all_inner_texts()]


def cell_with(page, text: str):
    return page.locator(".jp-CodeCell").filter(has=page.locator(".jp-InputArea-editor", has_text=text)).last


def rewrite(page, text: str, change) -> None:
    """Type a cell anew, as changed."""
    editor = cell_with(page, text).locator(".cm-content")
    source = "\n".join(editor.locator(".cm-line").all_inner_texts())
    editor.click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(change(source))


SAID_BY_CONTROLS = '.jp-OutputArea [role="status"]:not(.dt-info)'  # tables that page have a line of their own


def said_by_controls(page) -> str:
    return page.locator(SAID_BY_CONTROLS).inner_text()


def wait_until_said(page, pattern: str) -> str:
    """What the controls say once it matches; in between they may show what was passed on the way."""
    said = page.locator(SAID_BY_CONTROLS).filter(has_text=re.compile(pattern))
    said.wait_for(timeout=WAIT)
    return said_by_controls(page)


def press(page, label: str, key: str, times: int = 1) -> None:
    """Keys on the focused handle of a slider."""
    handle = page.locator(".widget-slider").filter(has_text=label).locator(".noUi-handle")
    handle.focus()
    for _ in range(times):
        handle.press(key)


def test_a_reader_runs_the_attack_by_hand_changes_it_and_turns_its_knobs(lab, tmp_path):
    pictures = screenshots(tmp_path)
    with browser_page(pictures) as page:
        open_notebook(page, lab, "00_attack_by_hand")
        run_all(page)
        assert cell_with(page, "sample_splits").locator(".jp-OutputArea-output").inner_text().startswith("(2,")
        rewrite(page, "N_SHADOWS = ", lambda source: set_parameters(source, {"N_SHADOWS": 3}))
        run_all(page)
        assert cell_with(page, "sample_splits").locator(".jp-OutputArea-output").inner_text().startswith("(3,")
        cell_with(page, "play_threshold").scroll_into_view_if_needed()

        first = said_by_controls(page)
        picture = page.locator(".jp-OutputArea img.widget-image")
        seen = picture.get_attribute("src")
        press(page, "threshold", "End")
        at_end = wait_until_said(page, "members: 0 of 200 members, 0 of 200 non-members. Precision undefined")
        assert picture.get_attribute("src") != seen and at_end != first
        press(page, "threshold", "Home")
        wait_until_said(page, "members: 200 of 200 members, 200 of 200 non-members. Precision 0.500")
        press(page, "threshold", "ArrowRight", 30)
        wait_until_said(page, "members: 1?[1-9]?[0-9] of 200 members")
        page.screenshot(path=pictures / "lab_threshold.png")

        press(page, "shadow models", "ArrowLeft")
        chosen = page.get_by_label("class")
        assert chosen.locator("option:checked").inner_text() == "all"
        chosen.select_option(index=1)
        wait_until_said(page, "of [1-9]?[0-9] members, [0-9]+ of [1-9]?[0-9] non-members")
        page.screenshot(path=pictures / "lab_class.png")
        assert errors(page) == []
        assert page.said == []

        rewrite(page, "run.finish", lambda source: "1 / 0")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("text=ZeroDivisionError", timeout=WAIT)
        assert len(errors(page)) == 1  # as these tests would have seen it


def test_noise_is_turned_in_the_notebook_of_location(lab, tmp_path):
    pictures = screenshots(tmp_path)
    with browser_page(pictures) as page:
        open_notebook(page, lab, "04_location")
        run_all(page)
        cell_with(page, "play_noise").scroll_into_view_if_needed()
        first = said_by_controls(page)
        press(page, "share of the bits", "Home")
        another = "([place, before]) => document.querySelector(place).innerText !== before"
        page.wait_for_function(another, arg=[SAID_BY_CONTROLS, first], timeout=WAIT)
        page.get_by_role("button", name="local network").click()
        press(page, "share of the bits", "End")
        page.get_by_role("button", name="bits replaced").click()
        press(page, "shadow models", "Home")
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=WAIT)
        assert re.fullmatch(r"Called members: \d+ of 200 members, \d+ of 200 non-members\. .*", said_by_controls(page))
        page.screenshot(path=pictures / "lab_noise.png")
        assert errors(page) == []
        assert page.said == []
