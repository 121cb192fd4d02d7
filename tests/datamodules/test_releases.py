import pytest

from datamodules.errors import OptionError
from datamodules.releases import SPLITS, find_release


def test_the_complete_release_has_1276_performances() -> None:
    release = find_release("v3.0.0")
    assert release.performances is not None
    assert sum(release.performances[split] for split in SPLITS) == 1276
    assert release.url == (
        "https://storage.googleapis.com/magentadata/datasets/maestro/v3.0.0/maestro-v3.0.0.zip"
    )
    assert release.sha256 is not None
    assert len(bytes.fromhex(release.sha256)) == 32


def test_unknown_release_names_the_choices() -> None:
    with pytest.raises(
        OptionError, match=r"release='v4' is not a known release\n.*mini, v1\.0\.0, v2\.0\.0, v3"
    ):
        find_release("v4")
