"""What `import swinir_jax` offers."""

import swinir_jax


def test_dir_lists_the_public_names_alone():
    assert dir(swinir_jax) == sorted([*swinir_jax.__all__, "__version__"])
