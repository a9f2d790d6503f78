"""Reads the XML files of a dataset, which are not trusted."""

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from lightdet.core.errors import LightdetError
from lightdet.data.files import read_bytes


def load_xml(path: Path, outermost: str, hint: str) -> Element:
    """The outermost element of a file, which must be called `outermost`; `hint` ends the message where it is not.

    Raises LightdetError for anything else, and for entities (XML bombs).
    """
    try:
        tree: Element = fromstring(read_bytes(path))
    except ParseError as error:
        raise LightdetError(f"{path}: not well-formed XML ({error}); correct or replace it") from error
    except DefusedXmlException as error:
        raise LightdetError(f"{path}: XML with entities is refused as unsafe; remove its DOCTYPE") from error
    except (ValueError, LookupError) as error:  # an unknown encoding
        raise LightdetError(f"{path}: unreadable XML ({error}); save it as UTF-8") from error
    if tree.tag != outermost:
        raise LightdetError(f"{path}: the outermost element is <{tree.tag[:40]}>, not <{outermost}>; {hint}")
    return tree
