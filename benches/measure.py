#!/usr/bin/env python3
"""measure.py SITES "TREE|LABEL|COMMAND"...: runs the commands turn by turn and prints a Markdown table. The first command of a tree is its floor.

Every command runs once to warm up and ROUNDS times (5) to be measured, so that what else the machine does falls on all alike; one that takes longer than
ten seconds is measured twice. Wall time is taken here, peak memory by GNU time, since a child of this process would inherit its size."""
import os, shlex, statistics, subprocess, sys, tempfile, time

ROUNDS = int(os.environ.get("ROUNDS", "5"))


def once(command):
    """(seconds, MiB)"""
    with tempfile.NamedTemporaryFile("r") as f:
        start = time.perf_counter()
        r = subprocess.run(["time", "-f", "%M", "-o", f.name, *shlex.split(command)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wall = time.perf_counter() - start
        if r.returncode:
            sys.exit(f"{command}\nended with {r.returncode}: {r.stderr.decode('utf-8', 'replace')[-400:]}")
        return wall, int(f.read().split()[-1]) / 1024


def main():
    sites, rows = int(sys.argv[1]), [a.split("|", 2) for a in sys.argv[2:]]
    seen = {i: [] for i in range(len(rows))}
    warm = [once(command)[0] for _, _, command in rows]
    for n in range(ROUNDS):
        for i, (_, _, command) in enumerate(rows):
            if n < 2 or warm[i] < 10:
                seen[i].append(once(command))
    print(f"| {sites:,} sites | | median | of plain reading | peak memory |\n|---|---|---:|---:|---:|")
    floor = {}
    for i, (tree, label, _) in enumerate(rows):
        wall = statistics.median(w for w, _ in seen[i])
        floor.setdefault(tree, wall)
        print(f"| {tree} | {label} | {wall:.3f} s | {wall / floor[tree]:.1f} | {max(m for _, m in seen[i]):.0f} MiB |")


main()
