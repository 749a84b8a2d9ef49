"""Horizon as a person uses it: log in, upload a template, fill its form, read a stack's page, delete. Clicks only."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tests.horizon import seen
from tests.horizon.seen import Event, Field, Overview, Refusal
from tests.horizon.served import ADDRESS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.horizon.browser import Browser

FORM, UPLOAD = "form#launch_stack", "form#select_template"
PARAMETER = "__param_"  # before the name of a template's own parameter
LAUNCH_S = 120.0
GONE_S = 300.0  # until a deleted stack has left the list
RELOAD_S = 30.0  # after which a person looks anew; rows renew themselves every 3 s or so
Source = Literal["file", "raw", "url"]


class Dashboard:
    """Horizon in one browser."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self._user = ""

    def log_in(self, user: str, password: str) -> None:
        """Log in; who is in already stays, somebody else is logged out first."""
        if user == self._user:
            return
        self.open_login()
        self.browser.write("#id_username", user)
        self.browser.write("#id_password", password)
        self.browser.click("#loginBtn")
        self.browser.until("a login", lambda: "/auth/" not in self.browser.address)
        self._user = user

    def open_login(self) -> None:
        """Open the page that asks for a name and a password; who is in is logged out."""
        self.browser.go(f"{ADDRESS}/auth/logout/" if self._user else f"{ADDRESS}/auth/login/")
        self.browser.element("#id_username")
        self._user = ""

    def stacks(self) -> dict[str, str]:
        """Open the list; status by name, as it says."""
        self.browser.go(f"{ADDRESS}/project/stacks/")
        self.browser.element("#stacks")
        return self._listed()

    def open_upload(self) -> None:
        """Open the dialog that asks for a template."""
        self.stacks()
        self.browser.click("#stacks__action_launch")
        self.browser.element(f"{UPLOAD} [type=submit]")

    def open_form(self, template: Path | str, source: Source = "file") -> list[Field]:
        """Give a template by its file, its text or its address; its form's fields. AssertionError: Horizon refused it."""
        self.open_upload()
        if source == "file":
            self.browser.give_file(f"{UPLOAD} #id_template_upload", Path(template))
        else:
            self._choose("template_source", source)
            name = "template_data" if source == "raw" else "template_url"
            self._paste(name, str(template) if source == "url" else _text(template))
        self.browser.click(f"{UPLOAD} [type=submit]")

        def answered() -> str:
            return str(self.browser.ask(
                "return document.querySelector(arguments[0]) ? 'form' : [...document.querySelectorAll("
                "arguments[1] + ' .alert, ' + arguments[1] + ' .has-error')].map(one => one.innerText).join(' ')",
                FORM, UPLOAD,
            ))  # fmt: skip

        answer = self.browser.until("the form of the template", answered)
        assert answer == "form", answer
        self.browser.element(f"{FORM} #id_stack_name")
        return self.fields()

    def fields(self) -> list[Field]:
        """What the form asks."""
        return [
            Field(
                name=each["name"].removeprefix(PARAMETER), label=each["label"], help=each["help"], kind=each["kind"],
                value=each["value"], options=tuple(each["options"]), is_required=each["required"],
            )
            for each in self.browser.ask(seen.FIELDS, FORM)
        ]  # fmt: skip

    def fill(self, **values: object) -> None:
        """Write into the form; keywords are parameters, and Horizon's stack_name, timeout_mins."""
        for name, value in values.items():
            box = f"{FORM} [name={name if name in ('stack_name', 'timeout_mins') else PARAMETER + name}]"
            if self.browser.ask("return document.querySelector(arguments[0]).tagName", box) == "SELECT":
                self._choose(box, str(value))
            else:
                self.browser.write(box, str(value))

    def launch(self, name: str, **values: object) -> Refusal | None:
        """Fill the form that is open and launch; None once Horizon says that the stack is being made."""
        self.fill(stack_name=name, **values)
        self.browser.ask("window.hotrunForm = document.querySelector(arguments[0])", FORM)
        self.browser.click(f"{FORM} [type=submit]")
        what, text = self.browser.until(
            "an answer to the launch", lambda: self.browser.ask(seen.SUBMITTED, FORM), LAUNCH_S
        )
        if what == "launched":
            self.browser.until(f"{name} in the list", lambda: name in self._listed())
            return None
        if what != "again":
            return Refusal(by="browser", name=what.removeprefix(PARAMETER), text=text)
        if text:
            return Refusal(by="horizon", text=text)
        return Refusal(by="heat", text=self._details())

    def wait_for(self, name: str, status: str, deadline_s: float) -> None:
        """Wait until the list, which renews its rows by itself, shows this status. AssertionError: it ended otherwise."""

        def ended() -> str:
            now = self._listed().get(name, "")
            return now if now == status or now.endswith(("Complete", "Failed")) else ""

        found = self._in_list(f"{name} to be {status}", ended, deadline_s)
        assert found == status, f"{name}: {found}"

    def overview(self, name: str) -> Overview:
        """Open a stack's page and read its tab Overview."""
        self._open_tab(name, "overview")
        found: dict[str, list[list[str]]] = self.browser.until(
            "the overview", lambda: self.browser.ask(seen.DETAIL)
        )
        about = {key: values for part in ("", "Info", "Status") for key, *values in found.get(part, [])}
        status, _, reason = about["Status"][0].partition(": ")
        return Overview(
            description=about["Description"][0],
            status=status,
            reason=reason.strip(),
            outputs={key: values[-1].strip() for key, *values in found.get("Outputs", [])},
            parameters={key: values[0].strip() for key, *values in found["Stack Parameters"]},
        )

    def events(self, name: str) -> list[Event]:
        """Open a stack's page and read its tab Events, the newest first, as many as its first page holds."""
        self._open_tab(name, "events")
        rows: list[list[str]] = self.browser.until("events", lambda: self.browser.ask(seen.ROWS, "events"))
        return [Event(resource=row[0], status=row[-2], reason=row[-1]) for row in rows]

    def delete(self, name: str) -> None:
        """Delete a stack by the menu of its row."""
        status = self.stacks().get(name)
        row = self.browser.ask(
            "return [...document.querySelectorAll('#stacks tbody tr')]"
            ".find(row => row.innerText.includes(arguments[0]))?.id", name,
        )  # fmt: skip
        assert row, f"{name} is not in the list"
        self._in_row(row, "a.dropdown-toggle", "the menu of its row")
        self._in_row(row, "button[id*='action_delete'], a[id*='action_delete']", "Delete Stack")
        self.browser.click(".modal-dialog .btn-danger, .modal-dialog .btn-primary", "the confirmation")
        self.browser.until("the deletion to begin", lambda: self._listed().get(name) != status)

    def wait_until_gone(self, name: str) -> None:
        """Wait until the list, which takes rows away by itself, has a stack no more.

        A list that Horizon could not ask for is empty too: it says so in red.
        """
        in_red = "return document.querySelector('.alert-danger') !== null"
        self._in_list(
            f"{name} to leave the list",
            lambda: name not in self._listed() and not self.browser.ask(in_red),
            GONE_S,
        )

    def _in_list(self, what: str, is_so: Callable[[], Any], deadline_s: float) -> Any:
        """Wait for something in the list. It is opened anew now and then: a row that failed to renew itself once, stays."""
        opened = -RELOAD_S

        def seen_so() -> Any:
            nonlocal opened
            if time.monotonic() - opened > RELOAD_S:
                self.stacks()
                opened = time.monotonic()
            return is_so()

        return self.browser.until(what, seen_so, deadline_s)

    def _listed(self) -> dict[str, str]:
        rows = self.browser.ask(seen.ROWS, "stacks")
        return {row[1]: row[-2] for row in rows if len(row) > 4}

    def _open_tab(self, name: str, tab: str) -> None:
        self.stacks()
        link = f"return [...document.querySelectorAll('#stacks a')].find(a => a.innerText == {name!r})"
        self.browser.until(f"a link to {name}", lambda: self.browser.ask(link + "?.href"))
        self.browser.ask(link.removeprefix("return ") + ".click()")
        self.browser.until("the page of the stack", lambda: "/stacks/stack/" in self.browser.address)
        self.browser.click(f"a[href='?tab=stack_details__{tab}'], a[data-target='#stack_details__{tab}']")
        self.browser.element(f"#stack_details__{tab}")

    def _details(self) -> str:
        """What Heat said: behind a click on Details in a red box."""
        self.browser.click(".alert-danger #details_link", "Details of an error")
        opened = "return document.querySelector('.alert-danger .collapse.in')?.innerText"
        return str(self.browser.until("the details", lambda: self.browser.ask(opened))).strip()

    def _in_row(self, row: str, selector: str, what: str) -> None:
        parts = [f"[id='{row}'] {part.strip()}" for part in selector.split(",")]
        self.browser.click(", ".join(parts), what)

    def _choose(self, name: str, value: str) -> None:
        selector = name if name.startswith(FORM) else f"{UPLOAD} [name={name}]"
        self.browser.ask(
            "const box = document.querySelector(arguments[0]);"
            "const one = [...box.options].find(each => [each.value, each.text].includes(arguments[1]));"
            "box.value = one.value; $(box).trigger('change');", selector, value,
        )  # fmt: skip

    def _paste(self, name: str, text: str) -> None:
        box = f"{UPLOAD} [name={name}]"
        self.browser.element(box)
        self.browser.ask("document.querySelector(arguments[0]).value = arguments[1]", box, text)


def _text(template: Path | str) -> str:
    return template if isinstance(template, str) else template.read_text(encoding="utf-8")
