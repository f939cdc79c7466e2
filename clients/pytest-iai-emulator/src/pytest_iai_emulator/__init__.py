"""pytest fixture `iai_emulator`: gives each test a world of the IAI emulator."""

from pytest_iai_emulator.control import ControlError
from pytest_iai_emulator.world import IaiEmulator

__all__ = ["ControlError", "IaiEmulator"]
