"""Version of the package."""


def version() -> str:
    """Returns the version in pyproject.toml, as it was when the package was installed."""
    from importlib import metadata  # here, because it takes time to import

    try:
        return metadata.version("swinir-jax")
    except metadata.PackageNotFoundError:  # a copy of the repository on the path
        return "unknown"
