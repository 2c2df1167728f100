"""dicom-validator on the tables of the DICOM standard that highdicom carries: modules of each SOP class, their
attributes with nesting and type.

dicom-validator itself reads the standard's DocBook files, which it downloads; tests have no network. highdicom's tables
lack the conditions of types 1C and 2C and the lists of allowed values, so these two are not checked. Nor is the content
tree of a report: what its items need depends on their type.
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from dicom_validator.validator.dicom_info import DicomInfo
from dicom_validator.validator.error_handler import NullValidationResultHandler
from dicom_validator.validator.iod_validator import IODValidator
from pydicom.datadict import dictionary_description, keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset

_EITHER_OR = (["SharedFunctionalGroupsSequence"], ["PerFrameFunctionalGroupsSequence"])
"""A functional group belongs in one of both; the tables ask for it in each."""

_TREE = "sr-document-content"


def violations(dataset: Dataset) -> list[str]:
    """What dicom-validator finds wrong with a data set: module, attribute and kind, in order."""
    validator = IODValidator(dataset, _standard(), error_handler=NullValidationResultHandler())
    result = validator.validate()
    found = [
        f"{module}: {_path(tag)} {error.code.name}"
        for module, errors in result.module_errors.items()
        for tag, error in errors.items()
    ]
    return sorted(found) or ([result.status.name] if result.errors else [])


def _path(tag: Any) -> str:
    return "/".join(keyword_for_tag(one) or str(one) for one in [*(tag.parents or []), tag.tag])


@cache
def _standard() -> DicomInfo:
    folder = files("highdicom") / "_standard"
    sop_classes, iods, modules = (
        json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("sop_class_iod_map", "iod_module_map", "module_attribute_map")
    )
    return DicomInfo(
        {},
        {
            uid: {
                "title": iod,
                "modules": {one["key"]: {"ref": one["key"], "use": one["usage"]} for one in iods[iod]},
                "group_macros": {},
            }
            for uid, iod in sop_classes.items()
            if iod in iods
        },
        {name: _nested(attributes, name == _TREE) for name, attributes in modules.items()},
    )


def _nested(attributes: list[dict[str, Any]], flat: bool) -> dict[str, Any]:
    """Attributes with their paths as nested tables by tag; `flat`: only which may be there at the top."""
    root: dict[str, Any] = {}
    for attribute in attributes:
        tag = tag_for_keyword(attribute["keyword"])
        if tag is None or (flat and attribute["path"]):
            continue
        place = root
        for keyword in attribute["path"]:
            parent = place.setdefault(_name(tag_for_keyword(keyword)), {"name": keyword, "type": "3"})
            place = parent.setdefault("items", {})
        kind = "3" if flat or attribute["path"] in _EITHER_OR else attribute["type"]
        place.setdefault(_name(tag), {"name": dictionary_description(tag)}).update(type=kind)
    return root


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
