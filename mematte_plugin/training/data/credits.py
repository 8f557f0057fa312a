"""The data section of a model card, from a bank's manifest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from .licences import permitted

Entry = Mapping[str, Any]


def data_section(manifest: Iterable[Entry]) -> str:
    """Markdown: every source with author, licence, use and number of pictures, and attributions
    where the licence requires them.

    manifest: a bank's entries, as in `manifest.json`. Licences that do not permit every use are
    listed at the end.
    """
    entries = list(manifest)
    rows: dict[tuple[str, str, str, str], set[str]] = defaultdict(set)
    named: dict[tuple[str, str, str, str], set[str]] = defaultdict(set)
    kinds: dict[str, int] = defaultdict(int)
    for entry in entries:
        if entry["source"] == entry["licence"] == "rendered":
            kinds[_kind(entry)] += 1
            continue
        key = (entry["source"], entry["author"], entry["licence"], entry["use"])
        rows[key].add(entry["original"])
        if entry["licence"].upper().startswith("CC-BY"):
            named[(entry["author"], entry["licence"], entry["source"], entry.get("url", ""))].add(
                entry["original"]
            )
    lines = [
        "## Data",
        "",
        "| source | author | licence | used as | pictures |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {source} | {author} | {licence} | {use} | {len(names)} |"
        for (source, author, licence, use), names in sorted(rows.items())
    ]
    lines += [
        f"| rendered: {kind} | this project | rendered | foreground | {count} |"
        for kind, count in sorted(kinds.items())
    ]
    if named:
        lines += ["", "Attribution:", ""]
        lines += [
            f"- {', '.join(sorted(works))} by {author} ({source}{_link(url)}), {licence}; cropped,"
            " scaled and composed with other pictures for training."
            for (author, licence, source, url), works in sorted(named.items())
        ]
    strangers = sorted({e["licence"] for e in entries if not permitted(e["licence"])})
    if strangers:
        lines += ["", f"**Not permitted for every use: {', '.join(strangers)}.**"]
    return "\n".join(lines)


def _kind(entry: Entry) -> str:
    """`person seed=0 index=3` -> `person`."""
    return " ".join(word for word in entry["original"].split() if "=" not in word)


def _link(url: str) -> str:
    return f", <{url}>" if url else ""
