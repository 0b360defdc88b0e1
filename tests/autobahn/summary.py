"""Judges a report of the suite: `summary.py REPORT_FOLDER GROUP...` prints one row per group, then what is not OK.

Exits 1 when a case failed, closed the connection in a wrong way, or when a group has not all of its cases.
"""
import collections
import json
import pathlib
import sys

# Cases of each group in version 25.10.1: a report with fewer of them is no pass.
CASES = {"1": 16, "2": 11, "3": 7, "4": 10, "5": 20, "6": 145, "7": 37, "9": 54, "10": 1}
PASSING = ["OK", "NON-STRICT", "INFORMATIONAL"]
# A text that is not UTF-8 is refused when its frame is whole, not at the wrong byte of a frame that is still coming.
NON_STRICT_MAX = 2


def main(folder, groups):
    agents = json.loads((pathlib.Path(folder) / "index.json").read_text())
    cases = {case: result for results in agents.values() for case, result in results.items()}
    bad, notes, non_strict = [], [], 0
    print("| group | cases | OK | NON-STRICT | INFORMATIONAL | FAILED |\n|---|---|---|---|---|---|")
    for group in groups:
        found = {case: result for case, result in cases.items() if case.split(".")[0] == group}
        counts = collections.Counter(result["behavior"] for result in found.values())
        failed = len(found) - sum(counts[name] for name in PASSING)
        row = [group, len(found), *(counts[name] for name in PASSING), failed]
        print("| " + " | ".join(map(str, row)) + " |")
        non_strict += counts["NON-STRICT"]
        if len(found) != CASES[group]:
            bad.append(f"group {group}: {len(found)} of {CASES[group]} cases ran")
        for case, result in sorted(found.items()):
            line = f"{case}: {result['behavior']}, close {result['behaviorClose']} ({result['remoteCloseCode']})"
            if result["behavior"] not in PASSING or result["behaviorClose"] not in ["OK", "INFORMATIONAL"]:
                bad.append(line)
            elif result["behavior"] != "OK":
                notes.append(line)
    print()
    if non_strict > NON_STRICT_MAX:
        bad.append(f"{non_strict} cases are NON-STRICT, {NON_STRICT_MAX} are known")
    print("\n".join(notes + [f"FAILED: {line}" for line in bad]))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
