"""Heights that users tell of people, by id: the service ~/set_person_height."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from occpose_core.scale import ScaleError, check_heights
from occpose_ros.message_types import message_class

_MOST = 1_000  # ids; beyond that somebody tells heights and never forgets them


class Heights:
    """Serves ~/set_person_height; made, called and destroyed by the executor's thread.

    by_id_m may be read by any thread: it is replaced whole. on_change: called with a sentence for the log.
    """

    def __init__(self, node: Any, on_change: Callable[[str], object]) -> None:
        kind = message_class("occpose_ros/srv/SetPersonHeight")
        self._node = node
        self._on_change = on_change
        self.by_id_m: Mapping[str, float] = MappingProxyType({})
        self._service = node.create_service(kind, "~/set_person_height", self._set)

    def _set(self, request: Any, response: Any) -> Any:
        try:
            response.message, response.success = self.set(request.id, float(request.height)), True
        except ScaleError as error:
            response.message, response.success = str(error), False
        self._on_change(response.message)
        return response

    def set(self, id: str, height_m: float) -> str:
        """Know, or with 0 forget, a height; what is so now, in words. Raises ScaleError, and nothing has changed."""
        heights = dict(self.by_id_m)
        if not id:
            raise ScaleError("whose height is it? name the id of a skeleton")
        if height_m == 0:
            known = heights.pop(id, None)
            sentence = f"the height of {id!r} is forgotten" if known else f"no height of {id!r} was known"
        else:
            heights[id] = round(height_m, 4)  # a float32 has no more
            check_heights(heights)
            sentence = f"{id!r} is {heights[id]:g} m tall"
        if len(heights) > _MOST:
            raise ScaleError(f"{_MOST} heights are known already: forget some (height 0)")
        self.by_id_m = MappingProxyType(heights)
        return sentence

    def destroy(self) -> None:
        """Withdraw the service; all heights are forgotten."""
        self._node.destroy_service(self._service)
        self.by_id_m = MappingProxyType({})
