"""Adds a section to RESULTS.md."""

import datetime
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MARK = "<!-- newest first -->\n"


def add(subject, command, load, text):
    """Puts `text` under a heading that says what, when, where and how."""
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8") if line.startswith("model name")), "unknown")
    file = ROOT / "bench/RESULTS.md"
    before, after = file.read_text(encoding="utf-8").split(MARK, 1)
    head = f"## {subject}, {datetime.date.today().isoformat()}, revision {git}"
    machine = f"{model}, {os.cpu_count()} cores. Load before the run: {load:.2f}. Command: `{command}`."
    file.write_text(f"{before}{MARK}\n{head}\n\n{machine}\n\n{text}\n{after}", encoding="utf-8")
