"""The archive -> the node program's text, and its files. Standard library, Python >= 3.9, integers alone.

boot.sh.j2 carries this file between two single quotes, so it has none, and without what no machine reads.
hotrun itself loads it to unpack, and with a `pick` of its own to pack: one text, the same decisions.

The text is predicted by partial matching (PPM): the longest context that was seen before names the symbols
that followed it and how often, with a share for "none of these", an escape, after which a shorter context
names others. How likely an escape is is learnt by what the context looks like (`escapes`, of 65,536), as in
PPMd's secondary estimation, here the mean of two views. Only the contexts that were asked count the symbol;
in a new one it starts with more where it was likely, as in PPMd.
"""
# ruff: noqa: E401, I001, INP001  # short, because it travels

import collections, hashlib, pathlib, re, shutil, sys

DIGITS = [chr(c) for c in range(33, 127) if c not in (34, 39, 92)]  # 91: no quotes, no backslash, no blank


def decoded(archive):
    """Return the text of an archive as bytes; ValueError when it ends too early or was edited."""
    digits = map(DIGITS.index, "".join(archive.split()))
    span, value = 1, 0

    def pick(shares, escape):
        nonlocal span, value
        while span < 91**9:
            span, value = span * 91, value * 91 + next(digits)
        unit = span // (sum(shares.values()) << 16)
        for symbol, share in shares.items():
            span = unit * share * (65536 - escape)
            if value < span:
                return symbol
            value -= span
        span = unit * sum(shares.values()) * escape
        return ""

    try:
        return text(pick)
    except (KeyError, StopIteration):
        raise ValueError("it is cut short or was edited") from None


def text(pick):
    """Return the text whose symbols `pick(shares, escape)` tells, "" for an escape, up to a NUL, as bytes."""
    seen = collections.defaultdict(dict)  # context -> symbol -> how often, doubled
    seen[""] = {chr(c): 1 for c in range(256)}
    escapes = {}  # view of a context -> chance of an escape, and how slowly it still learns
    out, near = [], "\0" * 8
    for _ in range(10**6):  # far more than a program has
        contexts = [seen[near[i:]] for i in (0, 3, 4, 5, 6, 7, 8)] + [{}]
        edge = near[-1].isalnum(), near[-2].isalnum()
        tried = ()
        for k, below in enumerate(contexts[1:]):
            left = {s: n for s, n in contexts[k].items() if s not in tried} if tried else contexts[k]
            if not left:
                continue
            kinds, total, sure = len(left), sum(left.values()), ()
            mean = total * 2 // kinds
            if kinds > 1:
                shares = {s: 8 * n + min(below.get(s, 0), 24) for s, n in left.items()}
            else:
                shares = left
                sure = min(below.get(max(left), 0), 6), min(len(below), 3)
            one = k, min(kinds, 7), min(mean, 24), tried == (), sure
            two = k, min(kinds, 3), min(mean, 10), edge
            p, m = escapes.get(one) or (59000 * kinds // (kinds + total), 8)
            q, n = escapes.get(two) or (p, 8)
            s = pick(shares, min(max(p + q >> 1, 32), 65504))
            yes = 0 if s else 65536
            escapes[one] = p + (yes - p) // m, min(m + 1, 128)
            escapes[two] = q + (yes - q) // n, min(n + 1, 128)
            if s:
                break
            tried = {*tried, *left}
        if s == "\0":
            return "".join(out).encode("latin-1")
        for d in contexts[: k + 1]:
            d[s] = d[s] + 2 if s in d else 1 + 3 * left[s] // (total + 1)
        out.append(s)
        near = near[1:] + s
    raise ValueError("it has no end")


def files(found):
    """Return the files of a text: path -> content; ValueError for a path that is none of the program's."""
    pairs = dict(record.split(b"\n", 1) for record in found.split(b"\1")[:-1])
    if not all(re.fullmatch(rb"node/[\w/]+\.py", name) for name in pairs):
        raise ValueError("it has a file that is none of the program")
    return {name.decode(): content for name, content in pairs.items()}


def main():
    """Write the program's files below a home; the text stays there too, and then needs no decoding again."""
    home, expected = pathlib.Path(sys.argv[1]), sys.argv[2]
    kept = home / "program.text"
    found = kept.read_bytes() if kept.exists() else b""
    if hashlib.sha256(found).hexdigest() != expected:
        try:
            found = decoded(sys.stdin.read())
        except ValueError as error:
            sys.exit(f"the archive is damaged: {error}")
    if hashlib.sha256(found).hexdigest() != expected:
        sys.exit("the archive is not the one that was packed: its SHA-256 differs")
    written = {**files(found), kept.name: found}
    shutil.rmtree(home / "node", ignore_errors=True)
    for name, content in written.items():
        (home / name).parent.mkdir(exist_ok=True, parents=True)
        (home / name).write_bytes(content)


if __name__ == "__main__":
    main()
