"""How Sphinx builds these pages: `tox -e docs`."""

import re
from importlib.metadata import version as version_of

from docutils import nodes
from sphinx.ext.intersphinx import resolve_reference_detect_inventory
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.writers.html5 import HTML5Translator

project = "multiprocessing-intenum"
author = "The multiprocessing-intenum authors"
project_copyright = "2024-2025 credativ GmbH and the multiprocessing-intenum authors"
version = release = version_of(project)

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx_copybutton",
    "sphinxcontrib.mermaid",
]
# Tables of results, which other pages include, and environments of the examples.
exclude_patterns = ["_build", "benchmarks/*.md", "*-results.md", "**/.venv", "**/node_modules"]
myst_enable_extensions = ["colon_fence", "attrs_inline"]
myst_heading_anchors = 3
myst_fence_as_directive = ["mermaid"]
nitpicky = True
# In the signature of value_at: names of ctypes and of multiprocessing that have no page of their own.
nitpick_ignore_regex = [
    ("py:.*", r"(ctypes|multiprocessing\.sharedctypes)\..*|Synchronized(Base)?|(os\.)?PathLike"),
    ("py:.*", r"(multiprocessing_intenum\.by_path\.value_at\.)?[SC]"),
]

# A local inventory with the few names of Python's documentation that the signatures use, so the build needs no network.
intersphinx_mapping = {"python": ("https://docs.python.org/3", "python.inv")}

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 70
napoleon_numpy_docstring = False
default_role = "code"  # `name` in a docstring

# What the button copies can be pasted: the lines with a prompt, without it. Without any prompt, all lines.
copybutton_prompt_text = r">>> |\.\.\. |\.\.\.$|\$ "
copybutton_prompt_is_regexp = True
copybutton_copy_empty_lines = False
copybutton_exclude = ".linenos, .go"  # printed text may begin as a prompt does, with an ellipsis

html_theme = "furo"
html_title = f"multiprocessing-intenum {version}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_theme_options = {
    "source_repository": "https://github.com/credativ/python-multiprocessing-intenum/",
    "source_branch": "main",
    "source_directory": "docs/",
}
pygments_style = "friendly"
pygments_dark_style = "monokai"


def list_what_it_raises(app, what, name, obj, options, lines):
    """Turn a docstring's Raises section into a list, before napoleon takes "TypeError, KeyError" for a single name."""
    if "Raises:" not in lines:
        return
    start = lines.index("Raises:")
    length = next((n for n, line in enumerate(lines[start + 1 :]) if line and not line.startswith(" ")), len(lines))
    section = lines[start + 1 : start + 1 + length]
    items = []
    for line in section:
        if line.startswith("     "):
            items[-1] += " " + line.strip()
        elif line:
            names, colon, text = line.strip().partition(": ")
            if colon and re.fullmatch(r"\w+(, \w+)*", names):
                names = ", ".join(f":exc:`{error}`" for error in names.split(", "))
            items.append(f"{names}{colon}{text}")
    lines[start : start + 1 + length] = [":Raises:", *(f"    * {item}" for item in items), ""]


# Names in the signatures that are local to a module, and what to link them to.
STANDS_FOR = {
    "T": "multiprocessing_intenum.enums.members.EnumMember",
    "V": "multiprocessing_intenum.EnumValue",
    "LockLike": "multiprocessing_intenum.locks.holding.LockLike",
    "BaseContext": "multiprocessing.context.BaseContext",
    "datetime": "datetime.datetime",
    "Lock": "multiprocessing_intenum.locks.holding.Lock",
    "_Callback": "collections.abc.Callable",
    "EnumValue": "multiprocessing_intenum.EnumValue",
    "IntEnumValue": "multiprocessing_intenum.IntEnumValue",
}


def link_by_its_full_name(app, env, node, contnode):
    """Link a type variable to its bound, and an alias to what it stands for."""
    target = STANDS_FOR.get(node.get("reftarget", "").rpartition(".")[2])
    if target is None:
        return None
    if not target.startswith(project.replace("-", "_")):
        node["reftarget"] = target
        return resolve_reference_detect_inventory(env, node, contnode)
    return env.domains["py"].resolve_xref(env, node["refdoc"], app.builder, "class", target, node, contnode)


def call_it_by_its_public_name(app, what, name, obj, options, signature, returns):
    """Show `EnumValue` where a signature names its base class, which the modules below `EnumValue` use."""
    return signature and signature.replace("HasCell[", "EnumValue["), returns


class LabelCells(SphinxPostTransform):
    """Write the heading of its column to each cell: on a phone a row is shown as a list, see pages.css."""

    default_priority = 500
    formats = ("html",)

    def run(self, **_):
        for group in self.document.findall(nodes.tgroup):
            headings = [cell.astext() for head in group.findall(nodes.thead) for cell in head.findall(nodes.entry)]
            for row in (row for body in group.findall(nodes.tbody) for row in body.findall(nodes.row)):
                for cell, heading in zip(row.findall(nodes.entry), headings, strict=False):
                    cell["heading"] = heading


class Translator(HTML5Translator):
    """Writes the headings that LabelCells has found as attributes of the cells."""

    def starttag(self, node, tagname, suffix="\n", empty=False, **attributes):
        if isinstance(node, nodes.entry) and node.get("heading"):
            attributes["data-heading"] = node["heading"]
        return super().starttag(node, tagname, suffix, empty, **attributes)


def setup(app):
    app.add_post_transform(LabelCells)
    app.set_translator("html", Translator)
    app.connect("autodoc-process-signature", call_it_by_its_public_name)
    app.connect("missing-reference", link_by_its_full_name)
    app.connect("autodoc-process-docstring", list_what_it_raises, priority=400)
