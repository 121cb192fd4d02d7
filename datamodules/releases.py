"""Facts of each MAESTRO release: names, address, checksum and counts."""

from dataclasses import dataclass, field

from datamodules.errors import OptionError

_BASE_URL = "https://storage.googleapis.com/magentadata/datasets/maestro"

SPLITS = ("train", "validation", "test")

COLUMNS = (
    "canonical_composer",
    "canonical_title",
    "split",
    "year",
    "midi_filename",
    "audio_filename",
    "duration",
)
"""Of every release's table, in the order of the official one."""


@dataclass(frozen=True)
class Release:
    """Facts about one release.

    Counts and checksums describe the complete official archive; a folder with fewer performances is a
    legitimate subset. Facts that could not be confirmed from two independent places are None.

    Attributes:
        name: What the option `release` calls it.
        root: Name of its root folder.
        stem: Name of its metadata file without `.csv` or `.json`.
        url: Address of the archive with audio; None if the release is made by code.
        sha256: SHA-256 of that archive, hexadecimal.
        archive_bytes: Size of that archive in bytes.
        hours: Total duration in hours.
        performances: Number of performances in each split.
        years: Years of the competition that it covers.
    """

    name: str
    root: str
    stem: str
    url: str | None = None
    sha256: str | None = None
    archive_bytes: int | None = None
    hours: float | None = None
    performances: dict[str, int] | None = field(default=None, hash=False)
    years: tuple[int, ...] | None = None

    @property
    def metadata_names(self) -> tuple[str, str]:
        """Names of its table, in the order of preference."""
        return f"{self.stem}.csv", f"{self.stem}.json"

    @property
    def midi_url(self) -> str | None:
        """Address of the official archive without audio (56 MB for v3.0.0)."""
        return None if self.url is None else f"{self.url.removesuffix('.zip')}-midi.zip"


RELEASES: tuple[Release, ...] = (
    Release(name="mini", root="mini", stem="mini"),
    Release(
        # The checksum published for this archive could be found in one place only, the counts in none.
        name="v1.0.0",
        root="maestro-v1.0.0",
        stem="maestro-v1.0.0",
        url=f"{_BASE_URL}/v1.0.0/maestro-v1.0.0.zip",
        hours=172.3,
        years=(2004, 2006, 2008, 2009, 2011, 2013, 2014, 2015, 2017),
    ),
    Release(
        # Contains a few string-quartet accompaniments, which v3.0.0 removed. Its counts are unconfirmed.
        name="v2.0.0",
        root="maestro-v2.0.0",
        stem="maestro-v2.0.0",
        url=f"{_BASE_URL}/v2.0.0/maestro-v2.0.0.zip",
        sha256="572c6054e8d2c7219aa4df9a29357da0f9789524c11fa38cef7d4bd8542c93f0",
        years=(2004, 2006, 2008, 2009, 2011, 2013, 2014, 2015, 2017, 2018),
    ),
    Release(
        name="v3.0.0",
        root="maestro-v3.0.0",
        stem="maestro-v3.0.0",
        url=f"{_BASE_URL}/v3.0.0/maestro-v3.0.0.zip",
        sha256="6680fea5be2339ea15091a249fbd70e49551246ddbd5ca50f1b2352c08c95291",
        archive_bytes=108_445_099_632,
        hours=198.7,
        performances={"train": 962, "validation": 137, "test": 177},
        years=(2004, 2006, 2008, 2009, 2011, 2013, 2014, 2015, 2017, 2018),
    ),
)


def find_release(name: str) -> Release:
    """Return the facts of the release called `name`.

    Raises:
        OptionError: If there is no such release.
    """
    for release in RELEASES:
        if release.name == name:
            return release
    names = ", ".join(release.name for release in RELEASES)
    raise OptionError(f"release={name!r} is not a known release", f"choose one of: {names}")
