"""The archive that an option names: a folder, a zip file, or the address of one."""

from pathlib import Path

from datamodules.archive.base import Archive
from datamodules.archive.byte_source import FsspecFile, LocalFile
from datamodules.archive.folder import FolderArchive
from datamodules.archive.http_file import HttpFile, TransferPolicy
from datamodules.archive.zip_archive import RemoteZipArchive, ZipArchive
from datamodules.errors import ReleaseError
from datamodules.releases import Release

STORES = ("s3", "gs", "gcs", "az", "abfs", "hf", "memory")
"""Object stores that are read through their fsspec drivers."""


def open_archive(
    release: Release,
    source: str | Path,
    transfer: TransferPolicy | None = None,
    memory: Path | None = None,
) -> Archive:
    """Open the release at `source`. Nothing is read over the network until it is needed.

    Args:
        release: Which release is expected there.
        source: The release's root folder, or the folder that contains it; a zip file; or the URL of one.
        transfer: How patient downloads are.
        memory: Folder where the table and the directory of remote archives are kept between runs.

    Raises:
        ReleaseError: If `source` is none of these, or a folder without metadata of this release.
    """
    address = str(source)
    if address.startswith(("http://", "https://")):
        return RemoteZipArchive(HttpFile(address, transfer), release, memory)
    scheme, mark, _ = address.partition("://")
    if mark and scheme not in STORES:
        raise ReleaseError(
            f"source={address!r}: addresses that begin with {scheme}:// are not read",
            f"give a folder, a zip file, or an address of http, https, {', '.join(STORES)}",
        )
    if mark:
        return RemoteZipArchive(FsspecFile(address), release, memory)
    path = Path(source).expanduser()
    try:
        return ZipArchive(LocalFile(path), release) if path.is_file() else _open_folder(release, path)
    except OSError as error:
        raise ReleaseError(
            f"source={str(path)!r} cannot be read ({error.strerror or error})",
            "check its name and its permissions",
        ) from error


def _open_folder(release: Release, folder: Path) -> FolderArchive:
    if not folder.is_dir():
        raise ReleaseError(
            f"source={str(folder)!r} is not a folder, a zip file or a URL: nothing is there",
            f"give the folder {release.root}/ of the unpacked release, the folder that contains it, "
            f"{release.root}.zip, or its URL",
        )
    for root in (folder, folder / release.root):
        if any((root / name).is_file() for name in release.metadata_names):
            return FolderArchive(root)
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    raise ReleaseError(
        f"source={str(folder)!r} holds neither {' nor '.join(release.metadata_names)} (found: {found})",
        f"give the folder that holds {release.stem}.csv, or set `release` to the version that lies there",
    )
