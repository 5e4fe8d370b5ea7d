#!/usr/bin/env python3
"""A preprocessor of mdBook for what lies outside docs/.

A page that SUMMARY.md takes from there (`../SECURITY.md`) gets a place in the book (`security.md`). Links to a page of the
book lead to its place, and those that show the name of its file show its title. Links to any other file of the repository
lead to that file at `git-repository-url`. A link that leads nowhere ends the build. Pages stay as they are: on the
repository's site, their links work without this.
"""

import json
import os.path
import re
import sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
LINK = re.compile(r"(\]\()([^()\s]+)(\))")
# A link that shows the name of a page's file.
NAMED = re.compile(r"\[([\w./-]*\.md)\](?=\(([^()\s#]+))")
# Fenced blocks and code spans, which have no links.
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def chapters(items):
    for item in items:
        chapter = item.get("Chapter") if isinstance(item, dict) else None
        if chapter:
            yield chapter
            yield from chapters(chapter["sub_items"])


def place(path):
    """A page's place in the book, by its path from docs/. A folder's README is its index."""
    if path.startswith("../"):
        return os.path.basename(path).lower()
    return os.path.join(os.path.dirname(path), "index.md") if os.path.basename(path) == "README.md" else path


def file_of(link, page):
    """The file that a link of a page leads to, from the repository's root."""
    return os.path.normpath(os.path.join("docs", os.path.dirname(page), link))


def target(link, page, places, repository):
    """Where a link of a page leads in the book. `page` is the page's path from docs/."""
    if re.match(r"[a-z]+:|#", link):
        return link
    path, anchor = (link.split("#", 1) + [""])[:2]
    anchor = f"#{anchor}" if anchor else ""
    file = file_of(path, page)
    if not os.path.exists(os.path.join(ROOT, file)):
        sys.exit(f"docs/{page}: the link {link} leads nowhere")
    here = os.path.dirname(place(page))
    if file in places:
        return os.path.relpath(places[file], here or ".") + anchor
    if file.startswith("docs/") and os.path.isfile(os.path.join(ROOT, file)) and not file.endswith(".md"):
        return os.path.relpath(file.removeprefix("docs/"), here or ".") + anchor
    return f"{repository}/{'tree' if os.path.isdir(os.path.join(ROOT, file)) else 'blob'}/main/{file}{anchor}"


def outside_code(text, change):
    done, parts = 0, []
    for code in CODE.finditer(text):
        parts += [change(text[done : code.start()]), code.group()]
        done = code.end()
    return "".join(parts) + change(text[done:])


def main():
    if sys.argv[1:2] == ["supports"]:
        sys.exit(0 if sys.argv[2] == "html" else 1)
    context, book = json.load(sys.stdin)
    repository = context["config"]["output"]["html"]["git-repository-url"]
    pages = [chapter for chapter in chapters(book["items"]) if chapter["path"]]
    places = {file_of(chapter["path"], ""): place(chapter["path"]) for chapter in pages}
    titles = {file_of(chapter["path"], ""): chapter["name"] for chapter in pages}
    for chapter in pages:
        page = chapter["path"]

        def links(text):
            text = NAMED.sub(lambda found: f"[{titles.get(file_of(found[2], page), found[1])}]", text)
            return LINK.sub(lambda found: found[1] + target(found[2], page, places, repository) + found[3], text)

        chapter["content"] = outside_code(chapter["content"], links)
        chapter["path"] = chapter["source_path"] = place(page)
    json.dump(book, sys.stdout)


main()
