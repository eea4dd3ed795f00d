"""TensorRT 10, TensorRT 11 and TensorRT for RTX as one: all that differs between them is asked for here."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

from occpose_core.checkpoint import ModelFileError
from occpose_core.runtime.cuda import Gpu

# backend -> its module, and what to install; the first that is installed is taken
LIBRARIES = {
    "tensorrt": ("tensorrt", "pip install tensorrt cuda-bindings, or on a Jetson: apt install python3-libnvinfer"),
    "tensorrt-rtx": ("tensorrt_rtx", "pip install tensorrt-rtx-cu13 cuda-bindings"),
}


def installed() -> list[str]:
    """The backends whose library is installed, best first; imports none of them."""
    specs = {backend: importlib.util.find_spec(module) for backend, (module, _) in LIBRARIES.items()}
    # a folder of that name without code, such as one's own engines, is a package without an origin
    return [backend for backend, spec in specs.items() if spec is not None and spec.origin is not None]


def require(backend: str) -> None:
    """Raise ModelFileError with what to install if a backend's library is not; imports nothing."""
    module, remedy = LIBRARIES[backend]
    if backend not in installed():
        raise ModelFileError(f"backend {backend} needs the package {module}: {remedy}")


class TensorRtLibrary:
    """One of the libraries. Raises ModelFileError if it is not installed, cannot be loaded or is too old."""

    def __init__(self, backend: str) -> None:
        require(backend)
        module, _ = LIBRARIES[backend]
        try:
            self.module: Any = importlib.import_module(module)
        except (ImportError, OSError, RuntimeError) as error:  # OSError: its shared libraries are not there
            raise ModelFileError(f"backend {backend} cannot load {module}: {error}") from error
        self.backend = backend
        self.version: str = self.module.__version__
        if not hasattr(self.module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"):
            raise ModelFileError(f"{module} {self.version} is too old for backend {backend}: it takes 10.0 or newer")

    def targets(self, gpu: Gpu) -> tuple[tuple[int, int], ...]:
        """The compute capabilities to ask for when building for this machine's GPU: TensorRT itself takes none."""
        return () if self.times_tactics else (gpu.compute_capability,)

    def logger(self, hear: Callable[[str], None]) -> Any:
        """What the library tells its errors to."""
        module = self.module
        errors = (module.ILogger.Severity.ERROR, module.ILogger.Severity.INTERNAL_ERROR)

        class Errors(module.ILogger):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                module.ILogger.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                if severity in errors:
                    hear(message)

        return Errors()

    def network(self, builder: Any) -> Any:
        """An empty network whose precision is that of the model; TensorRT 11 has no other and passes over the flag."""
        return builder.create_network(1 << int(self.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED))

    def configuration(self, builder: Any, level: int, compute_capabilities: Sequence[tuple[int, int]]) -> Any:
        """How to build: for this machine's GPU, or for the compute capabilities that are given.

        Raises ModelFileError if the library cannot build for those.
        """
        config = builder.create_builder_config()
        config.builder_optimization_level = level
        config.clear_flag(self.module.BuilderFlag.TF32)  # it rounds to 10 bits, and these models are small anyway
        if hasattr(self.module.BuilderFlag, "REQUIRE_USER_ALLOCATION"):  # RTX: else its work cannot be recorded
            config.set_flag(self.module.BuilderFlag.REQUIRE_USER_ALLOCATION)
        if compute_capabilities:
            self._target(config, compute_capabilities)
        return config

    def _target(self, config: Any, compute_capabilities: Sequence[tuple[int, int]]) -> None:
        if not hasattr(config, "set_compute_capability"):
            raise ModelFileError(
                f"backend {self.backend} builds for the GPU of the machine only, tensorrt-rtx for others"
            )
        known = self.module.ComputeCapability
        config.num_compute_capabilities = len(compute_capabilities)
        for index, (major, minor) in enumerate(compute_capabilities):
            target = getattr(known, f"SM{major}{minor}", None)
            if target is None:
                raise ModelFileError(
                    f"backend {self.backend} {self.version} does not build for compute capability {major}.{minor};"
                    f" it does for {', '.join(name for name in known.__members__ if name.startswith('SM'))}"
                )
            config.set_compute_capability(target, index)

    @property
    def times_tactics(self) -> bool:
        """Whether building measures on the GPU, so that a timing cache is worth keeping: not RTX, which compiles."""
        return not hasattr(self.module, "IRuntimeCache")

    def contexts(self, engine: Any, count: int, compiled: bytes) -> tuple[list[Any], Callable[[], bytes]]:
        """Execution contexts, and what gives the kernels that they have compiled until then, for the next start.

        Only RTX compiles at run time; here for each size as soon as it is met, for nothing else is ever met.
        """
        if self.times_tactics:
            return [engine.create_execution_context() for _ in range(count)], lambda: b""
        config = engine.create_runtime_config()
        strategies = self.module.DynamicShapesKernelSpecializationStrategy
        config.dynamic_shapes_kernel_specialization_strategy = strategies.EAGER
        cache = config.create_runtime_cache()
        if compiled:
            cache.deserialize(compiled)  # refuses by itself what another GPU or version has written
        config.set_runtime_cache(cache)
        return [engine.create_execution_context(config) for _ in range(count)], lambda: bytes(cache.serialize())

    def can_be_recorded(self, context: Any, stream: int) -> bool:
        """Whether the work of a context can be recorded as a CUDA graph; TensorRT's own always can, here."""
        return bool(context.is_stream_capturable(stream)) if hasattr(context, "is_stream_capturable") else True
