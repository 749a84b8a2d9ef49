"""pip's index settings -> uv's, because uv does not read pip's. Pure.

pip's sources, weakest first: its configuration files, then PIP_* variables. uv's own variables win over both.
"""

from __future__ import annotations

import configparser
from typing import Iterable, Mapping

_KEYS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
}


def pip_settings(environ: Mapping[str, str], pip_conf_texts: Iterable[str]) -> dict[str, str]:
    """What pip would use, by option name without dashes in front: `{"index-url": …}`.

    `pip_conf_texts`: the contents of pip's configuration files, the strongest last. A file that
    can't be parsed is passed over, as it would stop pip itself with its own message.
    """
    found: dict[str, str] = {}
    for text in pip_conf_texts:
        parser = configparser.RawConfigParser()
        try:
            parser.read_string(text)
        except configparser.Error:
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                found.update((key, value) for key, value in parser.items(section) if key in _KEYS)
    for key in _KEYS:
        value = environ.get("PIP_" + key.upper().replace("-", "_"))
        if value:
            found[key] = value
    return {key: " ".join(value.split()) for key, value in found.items() if value.strip()}


def uv_settings(environ: Mapping[str, str], pip_conf_texts: Iterable[str]) -> dict[str, str]:
    """The UV_* variables (and SSL_CERT_FILE) that make uv see pip's indexes; those already set stay."""
    pip = pip_settings(environ, pip_conf_texts)
    wanted = {_KEYS[key]: value for key, value in pip.items()}
    if "find-links" in pip:
        wanted["UV_FIND_LINKS"] = pip["find-links"].replace(" ", ",")  # uv separates these by commas
    if "extra-index-url" in pip:
        wanted["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # pip's own rule: the best version of all indexes
    return {name: value for name, value in wanted.items() if not environ.get(name)}
