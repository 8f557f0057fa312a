"""What the extra `subject` installs, asked for where it is used."""

from importlib import import_module
from typing import Any

from ..errors import SettingError

SUBJECT_PIP = 'pip install "mematte-plugin[subject]"'


def needed(module: str) -> Any:
    """The module; raises SettingError with the pip line if it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise SettingError(
            f"finding the subject needs {module.partition('.')[0]} ({error}); run {SUBJECT_PIP},"
            " or give a trimap, a mask or a soft alpha"
        ) from error
