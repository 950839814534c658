#!/usr/bin/env python3
"""Keeps the documents true to the tree: links that lead somewhere, and no word that only insiders know.

Usage: check_docs.py [ROOT]    prints file:line: reason, exits 1 when there is one.

1. Every relative link of a Markdown file resolves, with its #heading.
2. Every folder of src/ has a README.md of at most 60 lines, and the files it names exist.
3. Every decision in docs/adr has the template's headings and stands in the index.
4. CHANGELOG.md uses the four headings only.
5. No text file names a path of one person's machine or a document that isn't in this repository.
"""
import pathlib
import re
import sys

README_LINES_MAX = 60
ADR_LINES_MAX = 80
ADR_HEADINGS = ["Context", "Decision", "Options refused", "Consequences", "How we will know we were wrong"]
CHANGELOG_HEADINGS = {"Added", "Changed", "Fixed", "Internals"}
TEXT_SUFFIXES = {".c", ".h", ".def", ".md", ".py", ".sh", ".build", ".txt", ".json", ".js", ".css",
                 ".html", ".yml", ".yaml", ".scenario", ""}
TEXT_FILE_BYTES_MAX = 1 << 20
SKIPPED = re.compile(r"^(\.git|build(-[\w-]+)?|tidemark-data|\.cache)$")

LINK = re.compile(r"!?\[[^\]\n]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
# Spelled in halves, so that this file passes its own check.
INSIDER = re.compile("|".join([
    r"(?<![\w.$}])/(?:wor" + r"k|home|Users|root)/[\w.]+",
    r"\bhand" + r"book\b",
    r"\bhelper " + r"session",
]), re.IGNORECASE)


def walk(root):
    """The files of the tree that belong to the project."""
    for path in sorted(root.iterdir()):
        if SKIPPED.match(path.name) or path.is_symlink():
            continue
        if path.is_dir():
            yield from walk(path)
        else:
            yield path


def without_code(text):
    """Markdown with fenced blocks and code spans blanked, line for line."""
    text = re.sub(r"^(```|~~~).*?^\1[^\n]*$", lambda m: re.sub(r"[^\n]", " ", m[0]), text,
                  flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", lambda m: " " * len(m[0]), text)


def anchors(text):
    """The #names that GitHub gives to the headings."""
    fenced = re.sub(r"^(```|~~~).*?^\1[^\n]*$", "", text, flags=re.DOTALL | re.MULTILINE)
    names = set()
    for heading in re.findall(r"^#{1,6}\s+(.+?)\s*#*$", fenced, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        unique = name
        count = 0
        while unique in names:
            count += 1
            unique = f"{name}-{count}"
        names.add(unique)
    return names


def check_links(root, path, text):
    for n, line in enumerate(without_code(text).splitlines(), 1):
        for target in LINK.findall(line):
            if re.match(r"[a-z][a-z+.-]*:", target):
                continue
            file, _, anchor = target.partition("#")
            to = (root / file.lstrip("/") if file.startswith("/") else path.parent / file) if file else path
            if not to.exists():
                yield n, f"{target} leads nowhere"
            elif anchor and to.suffix == ".md" and anchor not in anchors(to.read_text(encoding="utf-8")):
                yield n, f"{target}: there is no such heading"


def check_folders(root):
    if not (root / "src").is_dir():
        return
    for folder in sorted(p for p in (root / "src").iterdir() if p.is_dir()):
        readme = folder / "README.md"
        if not readme.exists():
            yield folder, 1, "has no README.md"
        elif (lines := len(readme.read_text(encoding="utf-8").splitlines())) > README_LINES_MAX:
            yield readme, 1, f"{lines} lines, at most {README_LINES_MAX}"
        else:
            for n, line in enumerate(readme.read_text(encoding="utf-8").splitlines(), 1):
                for name in re.findall(r"`([\w/]+\.(?:c|h|def|py|sh))`", line):
                    if not any((top / name).exists() for top in (folder, root / "src", root)):
                        yield readme, n, f"there is no {name}"


def check_decisions(root):
    folder = root / "docs" / "adr"
    if not folder.is_dir():
        return
    index = folder / "README.md"
    listed = index.read_text(encoding="utf-8") if index.exists() else ""
    numbers = set()
    for path in sorted(folder.glob("[0-9]*.md")):
        text = path.read_text(encoding="utf-8")
        headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
        if headings != ADR_HEADINGS:
            yield path, 1, f"headings are {headings}, should be {ADR_HEADINGS}"
        if len(text.splitlines()) > ADR_LINES_MAX:
            yield path, 1, f"longer than a page ({ADR_LINES_MAX} lines)"
        if path.name not in listed:
            yield path, 1, "isn't in docs/adr/README.md"
        if path.name[:4] in numbers:
            yield path, 1, f"there are two decisions {path.name[:4]}"
        numbers.add(path.name[:4])


def check_changelog(root):
    path = root / "CHANGELOG.md"
    if not path.exists():
        return
    for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if (m := re.match(r"### (.+)$", line)) and m[1] not in CHANGELOG_HEADINGS:
            yield path, n, f"the headings are {', '.join(sorted(CHANGELOG_HEADINGS))}"


def check_tree(root):
    """All complaints about ROOT, as text; and the number of files looked at."""
    bad = []
    files = 0
    for path in walk(root):
        if path.suffix not in TEXT_SUFFIXES or path.stat().st_size > TEXT_FILE_BYTES_MAX:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        files += 1
        for n, line in enumerate(text.splitlines(), 1):
            if m := INSIDER.search(line):
                bad.append((path, n, f"'{m[0]}' means nothing to a reader of this repository"))
        if path.suffix == ".md":
            bad += [(path, n, why) for n, why in check_links(root, path, text)]
    bad += list(check_folders(root)) + list(check_decisions(root)) + list(check_changelog(root))
    return [f"{path.relative_to(root)}:{n}: {why}" for path, n, why in bad], files


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1]
    bad, files = check_tree(root)
    if files == 0:
        bad = [f"{root}: there is no text file here, so nothing was checked"]
    if bad:
        print("\n".join(bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
