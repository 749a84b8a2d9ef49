"""pip's index settings reach uv."""

from __future__ import annotations

from cloud.node.index import uv_settings


def test_settings_of_pip_become_uvs() -> None:
    """Files are read in order, PIP_* variables win over them, several indexes are compared as pip does."""
    texts = [
        "[global]\nindex-url = https://a.example/simple\nextra-index-url = https://b.example/x\n  https://c.example/y"
    ]

    found = uv_settings({"PIP_INDEX_URL": "https://mirror.example/simple"}, texts)

    assert {
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_INDEX": "https://b.example/x https://c.example/y",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    } == found


def test_uvs_own_variables_win() -> None:
    """What uv was told directly stays as it is."""
    assert {} == uv_settings(
        {"UV_DEFAULT_INDEX": "https://own.example", "PIP_INDEX_URL": "https://pip.example"}, []
    )


def test_a_broken_file_is_passed_over() -> None:
    """pip itself would say what is wrong with it."""
    assert {} == uv_settings({}, ["index-url = without a section"])
