"""Ray's class for runtime environments: a dict that is checked when it is made."""

from __future__ import annotations

from typing import Any

from . import _env


class RuntimeEnv(dict):
    """``RuntimeEnv(env_vars={"A": "1"}, working_dir="src", py_modules=["lib/pkg"])``.

    ValueError for what is not supported (pip, conda, containers, ...)."""

    def __init__(self, **parts: Any):
        _env.checked(parts)
        super().__init__({key: part for key, part in parts.items() if part is not None})

    def to_dict(self) -> dict:
        """What was given, as a plain dict."""
        return dict(self)

    def env_vars(self) -> dict:
        """Environment variables, {name: text}."""
        return self.get("env_vars", {})

    def working_dir(self) -> Any:
        """The folder that workers start in; "" if none was given."""
        return self.get("working_dir", "")

    def py_modules(self) -> list:
        """Folders and files that workers can import."""
        return self.get("py_modules", [])


class RuntimeEnvConfig(dict):
    """Accepted as RuntimeEnv(config=): there is no setup here that could take time."""

    def __init__(self, setup_timeout_seconds: int = 600, eager_install: bool = True, log_files: Any = None):
        super().__init__(setup_timeout_seconds=setup_timeout_seconds, eager_install=eager_install, log_files=log_files or [])


__all__ = ["RuntimeEnv", "RuntimeEnvConfig"]
