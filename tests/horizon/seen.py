"""What can be seen in Horizon's pages: plain values, and the scripts that read them in one look, so that none is stale."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

FIELDS = """
return [...document.querySelectorAll(arguments[0] + ' .form-group')].map(group => {
  const box = group.querySelector('input, select, textarea'), label = group.querySelector('label');
  const help = group.querySelector('.help-icon');
  return box && {
    name: box.name, label: label ? label.innerText.trim() : '', kind: box.tagName == 'SELECT' ? 'choice' : box.type,
    help: help ? help.dataset.originalTitle || help.title : '',
    value: box.type == 'checkbox' ? String(box.checked) : box.value, required: box.required,
    options: box.options ? [...box.options].map(option => option.text.trim()) : []};
}).filter(Boolean)
"""
SUBMITTED = """
const form = document.querySelector(arguments[0]), bad = form && form.querySelector('input:invalid, select:invalid');
if (form && form === window.hotrunForm) return bad ? [bad.name, bad.validationMessage] : null;
if (form) { const wrong = form.querySelector('.has-error'); return ['again', wrong ? wrong.innerText : '']; }
return document.querySelector('.modal-backdrop') ? null : ['launched', ''];
"""
ROWS = """
return [...document.querySelectorAll('#' + arguments[0] + ' tbody tr[data-object-id], #' + arguments[0] + ' tbody tr[id]')]
  .map(row => [...row.querySelectorAll('td')].map(cell => cell.innerText.trim()))
"""
DETAIL = """
const found = {}; let part = '';
for (const one of document.querySelector('#stack_details__overview .detail').querySelectorAll('h4, dt, dd')) {
  if (one.tagName == 'H4') part = one.innerText.trim();
  else if (one.tagName == 'DT') (found[part] = found[part] || []).push([one.innerText.trim()]);
  else found[part][found[part].length - 1].push(one.innerText);
}
return found
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a form, as a person sees it."""

    name: str
    label: str
    help: str
    """The tooltip of its question mark, or empty."""
    kind: str
    """text, number, checkbox, file, or choice for a drop-down."""
    value: str
    options: tuple[str, ...]
    """What a drop-down offers."""
    is_required: bool
    """Whether the browser insists on a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What a person is told instead of a stack."""

    by: Literal["browser", "horizon", "heat"]
    text: str
    name: str = ""
    """The field at which the browser shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A stack's page, tab Overview."""

    description: str
    status: str
    reason: str
    outputs: dict[str, str] = field(default_factory=dict)
    """Text by name, as the page shows it."""
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A row of a stack's page, tab Events."""

    resource: str
    status: str
    reason: str
