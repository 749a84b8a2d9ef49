"""The archive -> the node program's text, and its files. Standard library, Python >= 3.9, integers alone.

boot.sh.j2 carries this file between two single quotes, so it has none, and without what no machine reads;
`OWN` is the text that is carried, there and in hotrun, which loads this file to unpack, and with a `pick` of
its own to pack: one text, the same decisions.

Of the symbols that followed the longest context seen before, the latest first, each is asked for: is it this
one? Then those of a shorter context, as in partial matching (PPM). How likely a yes is, several contexts say
together, as in PAQ. What one says is learnt by how often it had the symbol, how often others, and which came
last (`states`); how much it counts, by which others have a say and by the symbol (`weights`). Beside the last
symbols, contexts are the word so far: alone, with the shape of what stands before, and with the word before.
The first text to learn from is `OWN`.
"""
# ruff: noqa: ARG001, E401, F821, I001, INP001, PLR0917  # short, because it travels

import bisect, collections, hashlib, pathlib, re, shutil, sys

DIGITS = [chr(c) for c in range(33, 127)]  # 94: all of ASCII that can be seen


def decoded(archive):
    """Return the text of an archive as bytes; ValueError when it ends too early or was edited."""
    digits = map(DIGITS.index, "".join(archive.split()))
    span, value = 1, 0

    def pick(symbol, chance):
        nonlocal span, value
        while span < 94**9:
            span, value = span * 94, value * 94 + next(digits)
        part = (span >> 16) * chance
        if value < part:
            span = part
            return 1
        span, value = span - part, value - part
        return 0

    try:
        return text(pick)
    except StopIteration:
        raise ValueError("it is cut short") from None


def text(pick):
    """Return the text up to a NUL as bytes; `pick(symbol, chance of 65,536)` is whether it comes next."""
    model = tables()
    seen = {"": {chr(c): 1 for c in range(255, -1, -1)}}  # context -> symbol -> how often, the latest last
    out, near, word, shape, past = [], "\0" * 11, "", "", ""

    def known(symbol, chance):
        return symbol == OWN[len(out)]

    for _ in range(10**6):  # far more than a program has
        keys = [near[k:] for k in (0, 5, 7, 8, 9, 10, 11)] + [(word,), (shape, word), (past, word)]
        contexts = [*map(seen.get, keys)]
        s, f = found(contexts, known if len(out) < len(OWN) else pick, *model)
        if s == "\0":
            return "".join(out[len(OWN) :]).encode("latin-1")
        for j, k in enumerate(keys):
            d = contexts[j]
            if not d:
                seen[k] = {s: 1}
            elif j < f + 2 or j > 6:  # shorter ones were not asked
                d[s] = d.pop(s, 0) + 1
        out.append(s)
        near = near[1:] + s
        if s.isalnum() or s == "_":
            word += s
        else:
            past = word or past
            shape, word = (shape + "a" * (word > "") + s)[-7:], ""
    raise ValueError("it has no end")


def tables():
    """Return squash, stretch, size, states and weights."""
    odds, one, squash = 2**60 // 2981, 2**60, []  # the chance of a logarithm of odds, from e**-8 to e**8
    for _ in range(4096):
        squash.append(65536 * odds // (odds + one))
        odds += odds >> 8
    stretch = [bisect.bisect(squash, p << 4) - 2048 for p in range(4096)]  # the way back
    size = [*range(8), *(n.bit_length() + 4 for n in range(8, 2**17))]  # of a number: itself, or its digits
    many = [n if n < 8 else 3 << n - 6 for n in range(22)]  # what a size stands for
    states = collections.defaultdict(  # a context's chances of yes, and how slowly each still learns
        lambda: [[(n * 32 + 1) * 65536 // ((n + r) * 32 + 20), 7] for n in many for r in many for _ in (0, 1)]
    )
    return squash, stretch, size, states, collections.defaultdict(lambda: [14000] * 10)


def found(contexts, pick, squash, stretch, size, states, weights):
    """Return the next symbol and the number of the context that had it."""
    tried, rank = set(), 0
    for f, below in enumerate(contexts[:7]):
        views = []
        for j in {f, f + 1, min(f + 2, 6), 7, 8, 9} if below else ():
            d = contexts[j] or {}
            t = sum(map(d.get, d.keys() - tried) if tried else d.values())
            if t:
                views.append([j, d, t, next(reversed(d)), states[j, min(j - f, 3)]])
        for s in [c for c in reversed(below or {}) if c not in tried]:
            w, o = weights[(rank, *(v[0] for v in views if v[2]))], weights[s]
            dot, used = 0, []
            for view in views:
                j, d, t, last, kinds = view
                if t:
                    n = d.get(s, 0)
                    view[2] = r = t - n
                    e = kinds[size[n] * 44 + size[r] * 2 + (s == last)]
                    x = stretch[e[0] >> 4]
                    dot += (w[j] + o[j]) * x
                    used.append((j, x, e))
            p = squash[min(max((dot >> 17) + 2048, 0), 4095)]
            yes = 65535 if pick(s, p) else 0
            for j, x, e in used:
                w[j] += x * (yes - p) >> 16
                o[j] += x * (yes - p) >> 16
                q, n = e
                e[0] = q + (yes - q) * 2 // n
                if n < 511:
                    e[1] = n + 2
            if yes:
                return s, f
            tried.add(s)
            rank += rank < 5
    raise ValueError("it was edited")


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
