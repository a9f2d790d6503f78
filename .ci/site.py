"""A hook of mkdocs: README, experiments and examples are pages and files of the site, with links that stay right.

A path of the clone is a path of the site without `docs/`; the README is the first page. A link to something of the
clone that the site does not show is left as it is, and `mkdocs build --strict` fails on it.
"""

import os.path
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
OTHERS = ["CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "Dockerfile", "LICENSE", "lightdet/weights/README.md"]
FOLDERS = ["experiments", "examples"]
SUFFIXES = {".md", ".png", ".jpg", ".csv", ".json", ".yaml", ".py", ".cpp", ".ipynb", ".txt"}
LINK = re.compile(r"\]\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds what lies outside of docs/."""
    inside = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")) if _shown(path)]
    for path in [ROOT / "README.md", *(ROOT / name for name in OTHERS), *inside]:
        place = _on_site(path.relative_to(ROOT).as_posix())
        files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns the relative links of the clone into those of the site."""
    source = Path(str(page.file.abs_src_path)).relative_to(ROOT).parent
    here = os.path.dirname(page.file.src_uri) or "."

    def turned(match: re.Match[str]) -> str:
        target = _on_site(os.path.normpath(source / match[1]))
        if files.get_file_from_path(target) is None:
            return match[0]
        return f"]({os.path.relpath(target, here)}{match[2] or ''})"

    return LINK.sub(turned, markdown)


def _on_site(path: str) -> str:
    return "index.md" if path == "README.md" else path.removeprefix("docs/")


def _shown(path: Path) -> bool:
    return path.is_file() and (path.suffix in SUFFIXES or path.name == "Dockerfile")
