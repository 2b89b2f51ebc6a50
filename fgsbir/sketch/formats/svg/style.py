"""Style sheets and style attributes as presentation attributes, which usvg reads best."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any
from xml.etree.ElementTree import Element

import cssselect2
import tinycss2
import tinycss2.color4

_COLOURS = ("fill", "stroke", "color", "stop-color", "background-color")
_ALONE = ("none", "inherit", "currentcolor", "context-fill", "context-stroke")
_MEDIA = re.compile(r"(?:only\s+)?(?:all|screen|\(prefers-color-scheme:\s*light\)|\s)*")
_VARIABLE = re.compile(r"var\(\s*(--[\w-]+)\s*(?:,((?:[^()]|\([^()]*\))*))?\)")
_LIGHT_DARK = re.compile(r"light-dark\(((?:[^(),]|\([^()]*\))*),(?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)")
_LONGEST = 10_000  # characters of a value, so that variables of variables stay small
Values = dict[str, tuple[str, bool]]  # by name; whether it is important


def inline_styles(root: Element) -> None:
    """Makes every style of a document an attribute of the element that it applies to, and removes the style sheets.

    Selectors, the order of rules, `!important`, variables and all notations of colours in sRGB count as in a browser on
    a light screen. A colour that is none is left out, so that it is inherited.
    """
    matcher = cssselect2.Matcher()
    for sheet in root.findall(".//{*}style"):
        if _MEDIA.fullmatch(sheet.get("media", "")) and sheet.get("type", "text/css") in ("", "text/css"):
            rules = tinycss2.parse_stylesheet("".join(sheet.itertext()), skip_comments=True, skip_whitespace=True)
            for selector, declared in _rules(rules):
                matcher.add_selector(selector, declared)
        sheet.clear()
        sheet.tag = "{http://www.w3.org/2000/svg}defs"
    inherited: dict[Element, dict[str, str]] = {}
    for wrapper in cssselect2.ElementWrapper.from_xml_root(root).iter_subtree():
        element = wrapper.etree_element
        values: Values = {}
        for *_, pseudo, declared in matcher.match(wrapper):
            if pseudo is None:
                _override(values, declared)
        _override(values, _declarations(element.attrib.pop("style", "")))
        variables = inherited.get(wrapper.parent.etree_element, {}) if wrapper.parent else {}
        own = {name: value for name, (value, _) in values.items() if name.startswith("--")}
        inherited[element] = variables = {**variables, **own} if own else variables
        for name, (value, _) in values.items():
            if re.fullmatch("[a-z][a-z-]*", name):
                _set(element, name, _without_variables(value, variables))
        for name in _COLOURS:
            if name in element.attrib:
                _set(element, name, _without_variables(element.attrib.pop(name), variables))


def _rules(rules: Iterable[Any]) -> Iterator[tuple[Any, Values]]:
    """The selectors of a style sheet with their declarations."""
    for rule in rules:
        if rule.type == "at-rule" and rule.lower_at_keyword == "media" and rule.content is not None:
            if _MEDIA.fullmatch(tinycss2.serialize(rule.prelude).strip()):
                yield from _rules(tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True))
        elif rule.type == "qualified-rule":
            values = _declarations(tinycss2.serialize(rule.content))
            try:
                for selector in cssselect2.compile_selector_list(rule.prelude):
                    yield selector, values
            except cssselect2.SelectorError:
                continue


@lru_cache(maxsize=4096)
def _declarations(text: str) -> Values:
    """The declarations of a rule or of a style attribute."""
    found = tinycss2.parse_blocks_contents(text, skip_comments=True, skip_whitespace=True) if text else []
    values: Values = {}
    for item in found:
        if item.type == "declaration":
            name = item.name if item.name.startswith("--") else item.lower_name
            _override(values, {name: (tinycss2.serialize(item.value).strip(), item.important)})
    return values


def _override(values: Values, later: Values) -> None:
    for name, (value, important) in later.items():
        if important or not values.get(name, ("", False))[1]:
            values[name] = value, important


def _without_variables(value: str, variables: dict[str, str]) -> str:
    for _ in range(8):
        if "var(" not in value or len(value) > _LONGEST:
            break
        value = _VARIABLE.sub(lambda match: variables.get(match[1], match[2] or "").strip(), value)
    return value[:_LONGEST]


def _set(element: Element, name: str, value: str) -> None:
    """Sets an attribute from the value of a property."""
    value = _LIGHT_DARK.sub(r"\1", value).strip()
    if name == "marker":
        for place in ("start", "mid", "end"):
            element.set(f"marker-{place}", value)
    elif name == "background":
        _set(element, "background-color", value)
    elif name == "transform":
        element.set(name, re.sub(r"(?<=\d)(deg|px)\b", "", value))
    elif name == "d":
        element.set(name, re.sub(r"^path\(\s*([\"'])(.*)\1\s*\)$", r"\2", value, flags=re.DOTALL))
    elif name not in _COLOURS:
        element.set(name, value)
    elif colour := _colour(value):
        element.set(name, colour)
    else:
        element.attrib.pop(name, None)


@lru_cache(maxsize=4096)
def _colour(value: str) -> str | None:
    """A colour or paint in a notation that usvg knows; None for what is none."""
    value = re.sub(r"\s+icc-color\(.*\)$", "", value)
    if value.lower() in _ALONE or value.startswith("url("):
        return value
    try:
        colour = tinycss2.color4.parse_color(value)
        red, green, blue = colour.to("srgb").coordinates
    except (AttributeError, NotImplementedError, ValueError, TypeError):  # no colour, or one beyond sRGB
        return None
    levels = ", ".join(str(min(255, max(0, round(255 * level)))) for level in (red, green, blue))
    return f"rgba({levels}, {colour.alpha:g})"
