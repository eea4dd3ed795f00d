"""The controls of the viewer. They are asked for what is set, many times a second; nothing calls back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from occpose_ros.view.nodes import Shown
from occpose_ros.view.playback import SPEEDS, Playback

if TYPE_CHECKING:
    from viser import GuiApi

_SWITCHES = {
    "measured": "Measured (blue)",
    "filled": "Filled (orange)",
    "sigma": "One sigma",
    "names": "Names",
    "camera": "Camera",
    "ground": "Ground",
}
_SPEED_TEXTS = {f"{speed:g} x": speed for speed in SPEEDS}
_ICONS: dict[bool, Any] = {True: "player-pause", False: "player-play"}  # by whether it plays
_SHOW = "show"
_STEP_S = 0.01
_SLIDER_EVERY_S = 0.1
_MOVING_S = 0.4  # after a user's last move of the slider
_GONE_S = 5.0  # after which somebody who is not there leaves the list


def _pressed(button: Any) -> bool:
    """Whether a button was pressed since it was last asked."""
    pressed = bool(button.value)
    if pressed:
        button.value = False
    return pressed


class Transport:
    """Play, pause, speed and place of a recording."""

    def __init__(self, gui: GuiApi, playback: Playback) -> None:
        self._playback = playback
        with gui.add_folder("Recording"):
            self._button: Any = gui.add_button("Pause", icon=_ICONS[True])
            self._slider: Any = gui.add_slider(
                "Time (s)", 0.0, max(round(playback.duration_s, 2), _STEP_S), _STEP_S, 0.0
            )
            self._speed = gui.add_dropdown("Speed", list(_SPEED_TEXTS), initial_value="1 x")
            self._repeat = gui.add_checkbox("Repeat", initial_value=False)
        self._told_s = self._slider.value
        self._tell_at_s = 0.0
        self._moved = False

    def poll(self) -> None:
        """Do what the user wants, and show where that is."""
        playback = self._playback
        playback.repeat = self._repeat.value
        if _SPEED_TEXTS[self._speed.value] != playback.speed:
            playback.set_speed(_SPEED_TEXTS[self._speed.value])
        if _pressed(self._button):
            (playback.pause if playback.playing else playback.play)()
        if self._slider.value != self._told_s:  # not what we said: the user moved it
            self._told_s = self._slider.value
            playback.seek(self._told_s)
            self._moved, self._tell_at_s = True, time.monotonic() + _MOVING_S
        self._tell()

    def _tell(self) -> None:
        """The button says what it does; the slider follows, but not while the user moves it."""
        playing, now_s = self._playback.playing, time.monotonic()
        self._button.label = "Pause" if playing else "Play"
        self._button.icon = _ICONS[playing]
        if now_s >= self._tell_at_s:
            self._tell_at_s = now_s + _SLIDER_EVERY_S
            place_s = round(self._playback.tick() / _STEP_S) * _STEP_S
            if self._moved:  # what was on its way to the page meanwhile has moved its slider back: tell it in any case
                self._moved, self._slider.value = False, abs(place_s - _STEP_S)
            self._slider.value = place_s
            self._told_s = self._slider.value


class PeopleList:
    """A switch for each person. Who was hidden stays hidden, also when coming back."""

    def __init__(self, gui: GuiApi) -> None:
        self._gui = gui
        self._folder = gui.add_folder("People")
        with self._folder:
            self._buttons = gui.add_button_group("Everybody", (_SHOW, "hide"))
            self._nobody = gui.add_markdown("Nobody is there.")
        self._pressed_at = self._buttons.update_timestamp
        self._switches: dict[str, Any] = {}
        self._seen_s: dict[str, float] = {}
        self._hidden: set[str] = set()

    def set(self, people: Mapping[str, str]) -> None:
        """Who is there: id -> text."""
        now_s = time.monotonic()
        for id, text in people.items():
            self._seen_s[id] = now_s
            if id not in self._switches:
                with self._folder:
                    self._switches[id] = self._gui.add_checkbox(text, initial_value=id not in self._hidden)
            self._switches[id].label = text
        for id in [id for id, seen_s in self._seen_s.items() if now_s - seen_s > _GONE_S]:
            self._hidden = set(self.hidden_ids())
            self._seen_s.pop(id)
            self._switches.pop(id).remove()
        self._nobody.visible = not self._switches

    def hidden_ids(self) -> frozenset[str]:
        """Who shall not be shown."""
        if self._buttons.update_timestamp != self._pressed_at:
            self._pressed_at = self._buttons.update_timestamp
            for switch in self._switches.values():
                switch.value = self._buttons.value == _SHOW
        gone = self._hidden - self._switches.keys()
        return frozenset(gone) | {id for id, switch in self._switches.items() if not switch.value}


class Panel:
    """All controls. playback: None if nothing is recorded. ground: what is known of it."""

    def __init__(self, gui: GuiApi, title: str, playback: Playback | None, ground: str) -> None:
        gui.set_panel_label(f"occpose: {title}")
        gui.configure_theme(dark_mode=True, control_width="small", show_logo=False, show_share_button=False)
        self._status = gui.add_markdown("")
        self._transport = Transport(gui, playback) if playback else None
        texts = _SWITCHES | {"ground": ground}
        with gui.add_folder("Show"):
            self._switches = {name: gui.add_checkbox(text, initial_value=True) for name, text in texts.items()}
        self.people = PeopleList(gui)

    def poll(self) -> Shown:
        """Do what the user wants with the recording; what the user wants to see."""
        if self._transport is not None:
            self._transport.poll()
        return Shown(**{name: switch.value for name, switch in self._switches.items()})

    def tell(self, status: str) -> None:
        """Show a sentence."""
        if self._status.content != status:
            self._status.content = status
