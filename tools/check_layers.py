#!/usr/bin/env python3
"""The architecture as one table, and the caps on size: what a folder may include, what nobody calls.

Usage: check_layers.py [ROOT]    prints file:line: reason, exits 1 when there is one.
"""
import pathlib
import re
import sys

# A folder of src/ may include itself, these folders, and no other.
MAY_INCLUDE = {
    "base": "",
    "model": "base",
    "lang": "base model",
    "core": "base model",
    "ports": "base model",
    "host": "base model lang core ports",
    "delivery": "base model ports",
    "api": "base model lang ports host",
    "adapters": "base model ports",
    # The storage adapters reach the disk through a port of their own, which the simulator stands in for.
    "sim": "base model lang core ports host delivery api adapters/log_file adapters/snapshot_dir",
    "apps": "base model lang core ports host delivery api adapters",
}
PURE = {"base", "model", "lang", "core"}
PURE_HEADERS = {"stdbool.h", "stddef.h", "stdint.h", "stdalign.h", "limits.h", "string.h"}
# base has a second library, for threads; the pure folders may not know it.
BASE_WITH_THREADS = {"check", "failpoint", "mailbox", "waker"}
THREAD_HEADERS = {"base/failpoint.h", "base/mailbox.h", "base/waker.h"}
# More headers that one place of base may use: they hold intrinsics or inline functions only.
BASE_EXTRA = {"xxhash.h", "immintrin.h", "nmmintrin.h"}
NO_CONDITIONALS = {"base", "model", "lang", "core", "host", "delivery", "api"}
# The one place that knows the CPU, with a portable twin of each loop.
CONDITIONALS_ALLOWED = {"base/simd.h", "base/failpoint.h", "host/hostile.h"}

# What is called through a table of functions is no function of libc, whatever its name.
BANNED = re.compile(
    r"(?<!->)(?<!\.)\b(strcpy|strcat|strncpy|strncat|sprintf|vsprintf|strtok|strtok_r|gets|atoi|atol|"
    r"atoll|atof|rand|srand|random|gmtime|localtime|ctime|asctime|alloca|setjmp|longjmp|qsort)\s*\(")
BANNED_IN_SRC_ONLY = {"qsort"}
UNFINISHED = re.compile(r"\b(FIXME|XXX)\b|\bTODO\b(?!\(\w)")

FILE_LINES_MAX = 800
HEADER_LINES_MAX = 200
FUNCTION_LINES_MAX = 70
PARAMETERS_MAX = 6
NESTING_MAX = 4

TOKEN = re.compile(
    r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|^[ \t]*#(?:\\\n|[^\n])*",
    re.DOTALL | re.MULTILINE)


def blank(match):
    """Keeps the newlines of what it hides, so that line numbers stay true."""
    text = match.group(0)
    hidden = re.sub(r"[^\n]", " ", text)
    return '""' + hidden[2:] if text.startswith('"') and len(text) >= 2 else hidden


def strip(text):
    """The code without comments, literals and preprocessor lines, line for line."""
    return TOKEN.sub(blank, text)


def match_open_paren(code, close):
    """The position of the '(' that code[close] == ')' belongs to, or -1."""
    depth = 0
    for i in range(close, -1, -1):
        if code[i] == ")":
            depth += 1
        elif code[i] == "(":
            depth -= 1
            if depth == 0:
                return i
    return -1


def count_parameters(inside):
    if inside.strip() in ("", "void"):
        return 0
    depth = 0
    commas = 0
    for c in inside:
        depth += c in "(["
        depth -= c in ")]"
        commas += c == "," and depth == 0
    return commas + 1


def opens_block(code, brace, inside_block):
    """Whether the brace opens a block of control flow; else it is an initialiser or a type."""
    before = code[max(0, brace - 2000):brace].rstrip()
    if before.endswith(")"):
        # (struct x){ ... } is a literal; only a condition or a walking macro has a name in front.
        head = re.search(r"(\w+)\s*$", before[:max(match_open_paren(before, len(before) - 1), 0)])
        return bool(head) and (head[1] in ("if", "for", "while", "switch") or head[1].isupper())
    if re.search(r"\b(else|do)$", before):
        return True
    return inside_block and before.endswith((";", "{", "}", ":"))


def functions(code):
    """Yields (name, line, lines, parameters, nesting) of each function defined in stripped code.

    A function is a brace at depth 0 right after a ')'. Its lines count from that brace to the last.
    """
    blocks = []  # one entry per open brace: is it a block of control flow?
    start = None
    deepest = 0
    for brace in (m.start() for m in re.finditer("[{}]", code)):
        line = code.count("\n", 0, brace) + 1
        if code[brace] == "}":
            if blocks:
                blocks.pop()
            if start and not blocks:
                yield start[0], start[1], line - start[1], start[2], deepest
                start = None
        elif blocks:
            blocks.append(opens_block(code, brace, blocks[-1]))
            deepest = max(deepest, sum(blocks) - 1)
        else:
            close = len(code[:brace].rstrip()) - 1
            blocks.append(close >= 0 and code[close] == ")")
            if blocks[0]:
                opening = max(match_open_paren(code, close), 0)
                name = re.search(r"(\w+)\s*$", code[:opening])
                start = (name[1] if name else "?", line, count_parameters(code[opening + 1:close]))
                deepest = 0


def check_includes(path, where, lines):
    """where: the path's parts below src/."""
    folder = where[0]
    pure = folder in PURE and not (folder == "base" and path.stem in BASE_WITH_THREADS)
    own = "/".join(where)[:-2] + ".h"
    has_own = path.suffix == ".c" and path.with_suffix(".h").exists()
    conditionals_banned = folder in NO_CONDITIONALS and "/".join(where) not in CONDITIONALS_ALLOWED
    first = True
    for n, line in enumerate(lines, 1):
        if m := re.match(r'\s*#\s*include\s+"([^"]+)"', line):
            target = m[1]
            to = target.split("/")
            allowed = MAY_INCLUDE[folder].split()
            if to[0] != folder and to[0] not in allowed and "/".join(to[:2]) not in allowed:
                yield n, f"{folder} may not include {target}"
            elif folder == to[0] == "adapters" and where[1] != to[1]:
                yield n, f"adapters don't know each other: {target}"
            elif pure and target in THREAD_HEADERS:
                yield n, f"the pure part knows no threads: {target}"
            if first and has_own and target != own:
                yield n, f"include {own} first"
            first = False
        elif m := re.match(r"\s*#\s*include\s+<([^>]+)>", line):
            extra = folder == "base" and m[1] in BASE_EXTRA
            if pure and m[1] not in PURE_HEADERS and not extra:
                yield n, f"the pure part may not include <{m[1]}>"
            if first and has_own:
                yield n, f"include {own} first"
            first = False
        elif conditionals_banned and re.match(r"\s*#\s*(if|ifdef|ifndef|elif)\b", line):
            yield n, "no #if here: a difference between platforms is another file"


def check_sizes(path, lines, code):
    if len(lines) > FILE_LINES_MAX:
        yield 1, f"{len(lines)} lines, at most {FILE_LINES_MAX}"
    if path.suffix == ".h":
        if len(lines) > HEADER_LINES_MAX:
            yield 1, f"{len(lines)} lines, a header has at most {HEADER_LINES_MAX}"
        if not re.search(r"^#pragma once$", "\n".join(lines), re.MULTILINE):
            yield 1, "#pragma once is missing"
    for name, line, size, parameters, nesting in functions(code):
        if size > FUNCTION_LINES_MAX:
            yield line, f"{name} has {size} lines, at most {FUNCTION_LINES_MAX}"
        if parameters > PARAMETERS_MAX:
            yield line, f"{name} has {parameters} parameters, at most {PARAMETERS_MAX}"
        if nesting > NESTING_MAX:
            yield line, f"{name} nests {nesting} deep, at most {NESTING_MAX}"


def check_words(top, text, code):
    for n, line in enumerate(code.splitlines(), 1):
        for name in BANNED.findall(line):
            if top == "src" or name not in BANNED_IN_SRC_ONLY:
                yield n, f"{name} is banned here"
    for n, line in enumerate(text.splitlines(), 1):
        if m := UNFINISHED.search(line):
            yield n, f"{m[0]}: finish it, or write TODO(name)"


def check_tree(root):
    """All complaints about ROOT, as text; and the number of files looked at."""
    bad = []
    files = 0
    for top in ("src", "include", "tests", "fuzz", "bench", "examples"):
        for path in sorted((root / top).rglob("*.[ch]")):
            files += 1
            text = path.read_text(encoding="utf-8")
            lines = text.splitlines()
            code = strip(text)
            found = list(check_words(top, text, code))
            if top == "src":
                where = path.relative_to(root / top).parts
                if where[0] not in MAY_INCLUDE:
                    found.append((1, f"{where[0]} is no folder of the architecture"))
                else:
                    found += check_includes(path, where, lines)
            if top in ("src", "include"):
                if not (top == "include" and path.suffix == ".h"):
                    found += check_sizes(path, lines, code)
            elif len(lines) > FILE_LINES_MAX:
                found.append((1, f"{len(lines)} lines, at most {FILE_LINES_MAX}"))
            bad += [f"{path.relative_to(root)}:{n}: {why}" for n, why in sorted(found)]
    return bad, files


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1]
    bad, files = check_tree(root)
    if files == 0:
        bad = [f"{root}: there is no C file here, so nothing was checked"]
    if bad:
        print("\n".join(bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
