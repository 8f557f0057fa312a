"""The exceptions of the package.

Every message names the input, what is wrong with it and what to do about it, so that a front end
can show it as it is.
"""


class MEMatteError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(MEMatteError):
    """A photo, trimap, mask or background that cannot be used as given."""


class SettingError(MEMatteError):
    """An option outside its range or of an unknown name (retention, device, dtype, unit, ...)."""


class BudgetError(SettingError):
    """A memory budget that is too small for what is asked.

    least: bytes of the smallest budget that would do.
    """

    def __init__(self, message: str, least: int = 0) -> None:
        super().__init__(message)
        self.least = least


class DeviceLostError(MEMatteError):
    """A device that has stopped working in this process: nothing more can be computed there."""


class WeightsError(MEMatteError):
    """A checkpoint that cannot be found, read, trusted or matched to a network."""


class OutputError(MEMatteError):
    """A result that cannot be written where it was asked for."""


class MEMatteWarning(UserWarning):
    """Something was done for the user that they should know about: a first frame, a resized trimap.

    The result is usable. Front ends show the message as one line; `warnings.filterwarnings` can
    turn it off or into an error.
    """
